"""Personal data: recall and precision of the step `personal_data` for each kind, on short texts whose personal data is marked by hand.

    python -m benchmarks.personal [FILE]

FILE: JSON lines with `text`, `spans` ([start, end, kind]) and, where they are not the default, `regions`; by default the tests' own gold
set: phone numbers in national and international formats, e-mail and IP addresses, card numbers, and numbers that are none of these
(ISBNs, IBANs, dates, prices, versions, order numbers). A span counts only when both its ends are right. What is missed and what is taken
wrongly is listed, and the time for each text is printed.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finecomb.data.cleaner.steps.personal import PersonalData, PersonalDataOptions

GOLD = Path(__file__).parents[1] / "tests" / "data" / "personal_gold.jsonl"
KINDS = ("EMAIL", "IP", "PHONE", "CARD")
REGIONS = ["US", "GB", "DE", "FR"]
_MARK = re.compile("\ue000([A-Z]+)\ue001")


@dataclass
class Found:
    """Spans of one kind, as texts: found and right, missed, and found but wrong."""

    right: int = 0
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """Share of the marked spans that are found."""
        return self.right / (self.right + len(self.missed))

    @property
    def precision(self) -> float:
        """Share of the spans found that are marked."""
        return self.right / (self.right + len(self.wrong))


def spans_of(text: str, cleaned: str) -> set[tuple[int, int, str]]:
    """Places in the text that placeholders replace in the cleaned one."""
    kept = _MARK.split(cleaned)
    found, at = set(), len(kept[0])
    for number in range(1, len(kept), 2):
        kind, rest = kept[number], kept[number + 1]
        end = len(text) - len(rest) if number + 2 == len(kept) else text.index(rest, at + 1)
        found.add((at, end, kind))
        at = end + len(rest)
    return found


def measure(rows: Sequence[Mapping[str, Any]]) -> dict[str, Found]:
    """Compare the step's spans with the marked ones."""
    measured = {kind: Found() for kind in KINDS}
    for row in rows:
        config = PersonalDataOptions(True, True, True, True, "\ue000{kind}\ue001", row.get("regions", REGIONS))
        marked = {(start, end, kind) for start, end, kind in row["spans"]}
        found = spans_of(row["text"], PersonalData(config).rewrite(row["text"]))
        for start, end, kind in marked | found:
            if (start, end, kind) not in found:
                measured[kind].missed.append(row["text"][start:end])
            elif (start, end, kind) not in marked:
                measured[kind].wrong.append(row["text"][start:end])
            else:
                measured[kind].right += 1
    return measured


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a gold set."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Print a table, what is missed and wrong, and the time."""
    rows = read(Path(sys.argv[1]) if len(sys.argv) > 1 else GOLD)
    measure(rows)  # loads the metadata of the regions
    started = time.perf_counter()
    measured = measure(rows)
    seconds = time.perf_counter() - started
    print(f"{len(rows)} texts, {1e6 * seconds / len(rows):.0f} microseconds each\n")
    print("| | marked | recall | precision |\n| --- | ---: | ---: | ---: |")
    for kind, found in measured.items():
        print(f"| {kind} | {found.right + len(found.missed)} | {found.recall:.3f} | {found.precision:.3f} |")
    for kind, found in measured.items():
        print(*(f"\n{kind} missed: {each}" for each in found.missed), *(f"\n{kind} wrong: {each}" for each in found.wrong), sep="", end="")
    print()


if __name__ == "__main__":
    main()
