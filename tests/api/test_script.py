"""A script as a reader of the docstrings writes it: compose, build, a plain Trainer, then a run directory and a comparison."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

SCRIPT = """\
import dataclasses
import pytorch_lightning as pl
import finecomb

config = finecomb.compose("debug=tiny", "dataset=files", "dataset.files.train=reviews.csv", "callbacks.progress.enabled=false")
module, datamodule = finecomb.build(config)
stop = pl.callbacks.EarlyStopping(monitor="validation/accuracy", mode="max")
best = pl.callbacks.ModelCheckpoint(dirpath="plain", monitor="validation/accuracy", mode="max")
trainer = pl.Trainer(max_epochs=2, accelerator="cpu", callbacks=[stop, best], logger=False, enable_progress_bar=False)
trainer.fit(module, datamodule)
plain = trainer.test(module, datamodule, verbose=False)[0]["test/accuracy"]
runs = [finecomb.train(dataclasses.replace(config, seed=seed)) for seed in (0, 1)]
table = finecomb.compare(runs, metrics=["accuracy"]).to_frame()
print(0 <= plain <= 1, best.best_model_path.endswith(".ckpt"), [run.status for run in runs], list(table.index))
"""
EXPECTED = "True True ['finished', 'finished'] ['full']\n"


@pytest.mark.slow
def test_a_script_of_fifteen_lines_needs_no_main_guard(shared: Path) -> None:
    (shared / "script.py").write_text(SCRIPT)
    assert len(SCRIPT.splitlines()) <= 15
    done = subprocess.run([sys.executable, "script.py"], cwd=shared, capture_output=True, text=True, timeout=500)
    assert (done.returncode, done.stdout[-len(EXPECTED) :]) == (0, EXPECTED), done.stderr


@pytest.mark.slow
def test_the_same_lines_run_in_a_notebook(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(shared / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(shared / "jupyter"))
    *first, last = SCRIPT.split("\nrun")
    cells = [nbformat.v4.new_code_cell(text) for text in ("\nrun".join(first), f"run{last}")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=500, kernel_name="python3", resources={"metadata": {"path": str(shared)}}).execute()
    assert any(EXPECTED in output.get("text", "") for output in notebook.cells[-1].outputs)
