import json
import os
import shutil
import subprocess
import sys

import pytest

from finecomb.runs import directory, provenance
from finecomb.runs.record import RunRecord


@pytest.fixture
def run(tmp_path):
    return directory.create(tmp_path, {}, RunRecord("0123456789ab", "r"))


def test_no_secret_of_the_environment_is_recorded(run, monkeypatch):
    for name in ("WANDB_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "verysecret")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    provenance.save(run, threads=1)
    text = (run.path / "provenance.json").read_text()
    assert "verysecret" not in text
    assert json.loads(text)["environment"]["OMP_NUM_THREADS"] == "1"


def test_packages_machine_and_threads_are_recorded(run):
    assert provenance.save(run, threads=3) == []
    found = json.loads((run.path / "provenance.json").read_text())
    assert found["packages"]["torch"]
    assert found["hardware"]["cores"] >= 1
    assert (found["threads"], found["attempt"]) == (3, 1)


def test_what_differs_from_the_attempt_before_is_told_and_the_record_of_it_kept(run, monkeypatch):
    provenance.save(run, threads=1)
    monkeypatch.setattr(provenance, "packages", lambda: {"torch": "9.9"})
    assert any(line.startswith("torch: ") and line.endswith("-> 9.9") for line in provenance.changes(run, threads=2))
    assert "threads: 1 -> 2" in provenance.save(run, threads=2)
    found = json.loads((run.path / "provenance.json").read_text())
    assert found["earlier"][0]["threads"] == 1
    assert provenance.save(run, threads=2) == []
    assert len(json.loads((run.path / "provenance.json").read_text())["earlier"]) == 1


def test_the_commit_and_uncommitted_changes_of_the_code_are_found(tmp_path):
    repository = tmp_path / "clone"
    package = repository / "src" / "finecomb"
    package.mkdir(parents=True)
    copy = package / "runs" / "provenance.py"
    copy.parent.mkdir()
    shutil.copy(provenance.__file__, copy)
    (repository / ".gitignore").write_text("__pycache__/\n")
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["remote", "add", "origin", "https://user:token123@host/x"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    copy.write_text(copy.read_text() + "# changed\n")
    (repository / "new.txt").write_text("")
    script = (
        "import importlib.util, json\n"
        f"spec = importlib.util.spec_from_file_location('p', {str(copy)!r})\n"
        "p = importlib.util.module_from_spec(spec); spec.loader.exec_module(p)\n"
        "print(json.dumps(p.code()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=dict(os.environ))
    found = json.loads(done.stdout)
    assert found["dirty"]
    assert "+# changed" in found["diff"]
    assert found["untracked"] == ["new.txt"]
    assert len(found["commit"]) == 40
    assert "token123" not in done.stdout
