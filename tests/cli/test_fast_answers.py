"""What needs no training answers in less than a second of the processor and imports nothing heavy."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "pytorch_lightning", "transformers", "peft", "torchmetrics", "datasets", "pandas", "sklearn", "wandb")
MEASURE = """
import os, sys
from finecomb.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as left:
    code = left.code or 0
loaded = [name for name in {heavy} if name in sys.modules]
times = os.times()
print(code, times.user + times.system, *loaded, file=open(os.environ["REPORT"], "w"))
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["train", "--help"], 0),
        (["explain", "tuning=lora"], 0),
        (["train", "tuning=lorra", "batch.sise=3"], 2),
        (["train", "loss=huber"], 2),
        (["train", "--cfg", "job"], 0),
        (["runs"], 0),
    ],
)
@pytest.mark.clock
def test_answers_take_less_than_a_second_of_cpu_and_import_nothing_heavy(words, code, tmp_path, slow_machine):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "REPORT": str(tmp_path / "report")}
    spent = []
    for attempt in range(8):
        time.sleep(2 * (attempt > 3))
        subprocess.run([sys.executable, "-c", MEASURE.format(heavy=HEAVY), *words], env=environment, capture_output=True, timeout=60)
        got, seconds, *loaded = (tmp_path / "report").read_text().split()
        assert (int(got), loaded) == (code, [])
        spent.append(float(seconds))
        # A machine that is busy, or reads the files for the first time, may need other tries.
        if spent[-1] < 1:
            return
    slow_machine(spent)
    raise AssertionError(f"CPU seconds: {spent}")
