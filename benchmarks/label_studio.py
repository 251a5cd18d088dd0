"""Label Studio's own converter on what `finecomb annotate export` writes: every class and span must come out as it went in.

    python -m benchmarks.label_studio

Needs label-studio-sdk 2.1 (label_studio_sdk.converter), best in an environment of its own, beside google-re2, hydra-core and this source.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finecomb.data.spans import Span
from finecomb.labeling.documents import Document
from finecomb.labeling.formats import Options, label_studio

WHEN = "2026-11-26T06:00:00+00:00"
DOCUMENTS = [
    Document("plain", "Ann met Bob in Paris .", ("good",), (Span(0, 3, "PER"), Span(8, 11, "PER"), Span(15, 20, "LOC")), "a@b.c", "accept"),
    Document(
        "emoji", "\U0001f600 Ann \U0001f468\u200d\U0001f692 Bob", ("bad",), (Span(2, 5, "PER"), Span(10, 13, "PER")), "a@b.c", "accept"
    ),
    Document("marks", "e\u0301te\u0301 a\u0300 Nice", ("good",), (Span(9, 13, "LOC"),), None, "accept"),
    Document("hebrew", "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd", ("good",), (Span(5, 9, "LOC"),), None, "accept"),
    Document("lines", "first\r\nAnn said <b>&amp;\n", ('"odd" <&>',), (Span(7, 10, "PER"),), None, "accept"),
    Document("overlap", "New York Times", ("good",), (Span(0, 8, "LOC"), Span(0, 14, "ORG")), None, "accept"),
    Document("none", "nothing here", ("good",), (), None, "accept"),
    Document("skipped", "not to be judged", (), (), None, "ignore"),
]


def export(folder: Path, documents: Sequence[Document]) -> tuple[str, Path]:
    """Write tasks and config as the command does; the config and the folder of tasks, which is what the converter reads."""
    written = label_studio.write([Document(**(vars(each) | {"time": WHEN})) for each in documents], Options())
    assert not written.refused
    (folder / "tasks").mkdir()
    (folder / "tasks" / "tasks.json").write_text(written.text, encoding="utf-8")
    return written.beside[".xml"], folder / "tasks"


def compared(name: str, found: Sequence[Document], expected: Sequence[Document]) -> bool:
    """Print whether ids, texts, classes and spans are those that went out."""
    key = [(each.id, each.text, each.labels, each.spans) for each in sorted(expected, key=lambda each: each.id)]
    came = [(each.id, each.text, each.labels, each.spans) for each in sorted(found, key=lambda each: each.id)]
    spans = sum(len(each.spans) for each in expected)
    print(f"{name}: {len(came)} of {len(key)} rows, {spans} spans: {'all as they went out' if key == came else 'DIFFERENT'}")
    for mine, theirs in zip(key, came, strict=False):
        if mine != theirs:
            print(f"  out {mine}\n  in  {theirs}")
    return key == came


def rows_of_csv(path: Path) -> list[Document]:
    """Documents of the converter's CSV, whose cells of spans are JSON."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        regions: list[dict[str, Any]] = json.loads(row["spans"]) if row["spans"] else []
        spans = tuple(Span(each["start"], each["end"], each["labels"][0]) for each in regions)
        assert all(row["text"][each["start"] : each["end"]] == each["text"] for each in regions)
        found.append(Document(row["example_id"], row["text"], (row["label"],), spans))
    return found


def main() -> int:
    """Run the converter to JSON_MIN, CSV and CoNLL, and compare; 1 when anything came out otherwise."""
    try:
        from label_studio_sdk.converter import Converter
    except ImportError:
        print("label-studio-sdk is not installed; in an environment of its own: pip install label-studio-sdk==2.1.2 google-re2 hydra-core")
        return 0
    judged = [each for each in DOCUMENTS if each.answer == "accept"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config, tasks = export(folder, DOCUMENTS)
        converter = Converter(config, str(folder), download_resources=False)
        print(f"labeling config read as {json.dumps({key: value['type'] for key, value in converter._schema.items()})}")
        converter.convert_to_json_min(str(tasks), str(folder / "min"))
        minimal = label_studio.read((folder / "min" / "result.json").read_text(encoding="utf-8"), "result.json", Options())
        for each in minimal.bad:
            print(f"  {each.where}: {each.why}")
        good = compared("JSON_MIN", minimal.documents, judged)
        converter.convert_to_csv(str(tasks), str(folder / "csv"), sep=",", header=True)
        good &= compared("CSV", rows_of_csv(folder / "csv" / "result.csv"), judged)
        converter.convert_to_conll2003(str(tasks), str(folder / "conll"))
        lines = (folder / "conll" / "result.conll").read_text(encoding="utf-8").split("\n")
        begun = sum(line.split(" ")[-1].startswith("B-") for line in lines)
        spans = sum(len(each.spans) for each in judged)
        print(f"CONLL2003: {begun} spans begin, of {spans}, by tokens of its own")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
