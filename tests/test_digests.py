"""No formula changes unnoticed: the code of every module that computes numbers is the recorded one, or its version went up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import digests
from finecomb.config import computing

OLD = '''
"""A module."""
VERSION = 1


def mean(values):
    """Their mean."""
    return sum(values) / len(values)  # not of none
'''


def test_the_code_that_computes_numbers_is_the_recorded_one() -> None:
    open_, stale = digests.changed(digests.recorded(), digests.current())
    assert not open_, "raise VERSION there, then `make digests`; where no result changes: make digests REASON=..."
    assert not stale, "these are new, gone or of another version: make digests"


def test_every_file_is_known_to_compute_or_not() -> None:
    names = computing.names()
    assert len(set(names)) == len(names)
    assert set(computing.MOVED) <= set(names)
    known = {computing.file_of(name) for name in names} | {computing.SOURCE / f"{name}.py" for name in computing.IDLE}
    there = {path for folder in computing.COVERED for path in (computing.SOURCE / folder).rglob("*.py")}
    assert not there - known, "enter these in config/computing.py"
    assert not {path for path in known if not path.is_file()}


def entry(source: str) -> dict[str, digests.Entry]:
    return {"module": digests.described(source)}


def test_comments_docstrings_and_the_layout_are_no_code() -> None:
    other = OLD.replace("Their mean.", "The mean.").replace("# not of none", "").replace("\n\n\n", "\n")
    assert digests.changed(entry(OLD), entry(other)) == ([], [])


@pytest.mark.parametrize(
    ("replaced", "by"), [("sum(values)", "max(values)"), ("/ len(values)", "// len(values)"), ("len(values)", "(len(values) - 1)")]
)
def test_a_changed_formula_needs_a_decision(replaced: str, by: str) -> None:
    edited = OLD.replace(replaced, by)
    assert digests.changed(entry(OLD), entry(edited)) == (["module"], [])
    assert digests.changed(entry(OLD), entry(edited.replace("VERSION = 1", "VERSION = 2"))) == ([], ["module"])
    assert digests.changed(entry(OLD.replace("VERSION = 1", "VERSION = 2")), entry(edited)) == (["module"], []), "down"


def test_the_version_of_a_step_counts_and_a_missing_one_is_1() -> None:
    step = "class Step:\n    VERSION: ClassVar[int] = {}\n    least = {}\n"
    assert digests.described(step.format(2, 1))["version"] == "Step.VERSION=2"
    assert digests.changed(entry(step.format(1, 1)), entry(step.format(2, 9))) == ([], ["module"])
    bare = OLD.replace("VERSION = 1", "")
    assert digests.changed(entry(bare), entry(OLD)) == ([], [])
    assert digests.changed(entry(bare), entry(OLD.replace("VERSION = 1", 'VERSION = "2"'))) == ([], ["module"])


def test_a_change_is_confirmed_with_a_reason_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "RECORD", tmp_path / "digests.json")
    monkeypatch.setattr(digests, "LOG", tmp_path / "digests.log")
    code = [OLD]
    monkeypatch.setattr(digests, "current", lambda: entry(code[0]))
    assert digests.record("") == 0  # a new module has no results that could change
    before = digests.RECORD.read_text()
    assert len(before.splitlines()) == 3
    code[0] = OLD.replace("sum", "fsum")
    assert digests.record("") == 1
    assert digests.RECORD.read_text() == before
    assert digests.record("the same sum") == 0
    assert digests.LOG.read_text().endswith(" the same sum: module\n")
    code[0] = OLD.replace("sum", "max").replace("VERSION = 1", "VERSION = 2")
    assert digests.record("") == 0
    assert json.loads(digests.RECORD.read_text()) == entry(code[0])
    assert len(digests.LOG.read_text().splitlines()) == 1
