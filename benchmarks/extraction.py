"""Main text of pages: precision, recall and F of the three modes on two gold sets, and pages a processor second.

    python -m benchmarks.extraction

A gold set names, for each page, segments that belong to its main text and segments that do not. As in trafilatura's published evaluation
(A. Barbaresi, ACL 2021), a wanted segment in the text is a true positive, a missing one a false negative, and an unwanted one in the text a
false positive.

articles: 81 news and blog pages with segments chosen by hand, from the tests of trafilatura's source archive 0.5.0 (the list of segments
    is read, nothing of it is run). Its author tuned trafilatura on these pages, so `quality` is flattered; the rule of `cascade` was chosen
    on them.
manual: pages of Python's documentation, which nobody tuned on. Wanted: paragraphs of plain prose in the reStructuredText source that
    ships beside each page. Unwanted: words of navigation, side bar and footer that are not in the source.
"""

from __future__ import annotations

import ast
import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.python_docs import Absent, python_docs
from finecomb.assets import fetch
from finecomb.data.dataset.extract import MODES, extract

SOURCE = "dist:trafilatura==0.5.0!trafilatura-0.5.0/tests"
SHA256 = "c8fc8cebfbe7e566698c4b469f4b4eab627f6942c62aa1a4d72f33bc3df29eb9"
EVERY, PARAGRAPHS = 8, 5  # of the manual's pages, and of a page's paragraphs
FURNITURE = ("Previous topic", "Next topic", "Report a Bug", "Show Source", "Table of Contents", "This Page", "Last updated on",
             "The Python Software Foundation is a non-profit corporation")  # fmt: skip


@dataclass(frozen=True)
class Gold:
    """One page with segments that its main text holds, and segments that it does not."""

    url: str
    html: bytes
    wanted: list[str]
    unwanted: list[str]


def articles() -> list[Gold]:
    """The pages of trafilatura's tests, by what their `assert "..." in result` and `not in result` say."""
    folder = fetch([SOURCE], sha256=SHA256).path
    tree = ast.parse((folder / "unit_tests.py").read_text(encoding="utf-8"))
    pages: dict[str, str] = {}
    found: dict[str, tuple[set[str], set[str]]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MOCK_PAGES":
            pages = ast.literal_eval(node.value)
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        url = None
        for statement in function.body:
            if isinstance(statement, ast.Assign):
                call = statement.value
                url = None
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "load_mock_page" and isinstance(call.args[0], ast.Constant):
                    url = call.args[0].value
            elif isinstance(statement, ast.Assert) and url in pages:
                for part in ast.walk(statement.test):
                    if (
                        isinstance(part, ast.Compare)
                        and isinstance(part.left, ast.Constant)
                        and ast.unparse(part.comparators[0]) == "result"
                    ):
                        found.setdefault(url, (set(), set()))[isinstance(part.ops[0], ast.NotIn)].add(str(part.left.value))
    return [Gold(url, (folder / "cache" / pages[url]).read_bytes(), sorted(wanted), sorted(not_wanted))
            for url, (wanted, not_wanted) in found.items()]  # fmt: skip


def manual(docs: Path) -> list[Gold]:
    """Every eighth page of the documentation whose source has plain prose."""
    found = []
    for source in sorted((docs / "_sources").rglob("*.rst.txt")):
        page = docs / source.relative_to(docs / "_sources").with_suffix("").with_suffix(".html")
        text = source.read_text(encoding="utf-8")
        prose = [" ".join(block.split()) for block in re.split(r"\n\s*\n", text)
                 if re.fullmatch(r"[A-Z][A-Za-z0-9,;()%\s-]{60,}\.", block) and "--" not in block]  # fmt: skip
        if page.is_file() and prose:
            found.append(Gold(page.name, page.read_bytes(), prose[:PARAGRAPHS], [words for words in FURNITURE if words not in text]))
    return found[::EVERY]


def scores(pages: list[Gold], texts: list[str]) -> tuple[float, float, float]:
    """Precision, recall and F over all segments; runs of white space count as one space."""
    hits = misses = wrong = 0
    for page, text in zip(pages, texts, strict=True):
        flat = " ".join(text.split())
        here = sum(" ".join(segment.split()) in flat for segment in page.wanted)
        hits, misses = hits + here, misses + len(page.wanted) - here
        wrong += sum(" ".join(segment.split()) in flat for segment in page.unwanted)
    precision, recall = hits / max(1, hits + wrong), hits / max(1, hits + misses)
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def processor_seconds() -> float:
    """Processor time so far of this process and of the child that extracts, which does not depend on what else the machine does."""
    ticks = 0
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        ticks += sum(map(int, Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print one table."""
    with tempfile.TemporaryDirectory() as place:
        sets = {"articles": articles()}
        try:
            sets["manual"] = manual(python_docs(Path(place)))
        except Absent as error:
            print(error)
    print("| gold | pages | segments | mode | precision | recall | F | pages a processor second | better extractor asked |")
    print("| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for name, pages in sets.items():
        count = sum(len(page.wanted) + len(page.unwanted) for page in pages)
        for mode in MODES:
            extract(pages[0].html, pages[0].url, mode=mode)  # the child is started and has its libraries
            began = processor_seconds()
            found = [extract(page.html, page.url, mode=mode) for page in pages]
            rate = len(pages) / (processor_seconds() - began)
            precision, recall, f = scores(pages, [each.text for each in found])
            asked = sum(each.method == "quality" or each.problem is not None for each in found) / len(found)
            print(f"| {name} | {len(pages)} | {count} | {mode} | {precision:.3f} | {recall:.3f} | {f:.3f} | {rate:.0f} | {asked:.0%} |")


if __name__ == "__main__":
    main()
