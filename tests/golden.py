"""Golden numbers: what a few tiny runs compute, recorded before a restructuring and compared after it.

    python tests/golden.py record before.json
    python tests/golden.py compare before.json [--ignore-fingerprints]

Each run goes through `finecomb train`, so nothing but the command line and the files of a run directory has to stay. Recorded are
the fingerprint, each line of metrics.jsonl (losses, gradient norms, validation), final metrics, trained tensors, logits, and a table
without its times. --ignore-fingerprints: also leave out fingerprints and the names of the table's rows, for choices that were renamed.
"""

from __future__ import annotations

import csv
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

VOCABULARY = "good great best fun love bad worst boring dull hate movie film plot story the a an and very too so".split()  # noqa: SIM905
COMMON = [
    "dataset=files", "cleaner=none", "logger=none", "batch.size=8", "batch.max_length=32", "trainer.max_epochs=2", "trainer.threads=1",
    "trainer.precision=32-true", "trainer.accelerator=cpu", "callbacks.progress.enabled=false",
]  # fmt: skip
RUNS: dict[str, list[str]] = {
    "full": ["data=class", "model=tiny", "tuning=full", "seed=3"],
    "class_weights": [
        "data=class",
        "model=tiny",
        "model.architecture=gpt2",
        "tuning=lora",
        "loss.class_weights=balanced",
        "batch.micro_batches=2",
    ],
    "head": [
        "data=pair",
        "model=tiny",
        "model.architecture=roberta",
        "tuning=head",
        "optimizer=sgd",
        "optimizer.lr=0.5",
        "scheduler=cosine",
    ],
    "multi_label": [
        "data=classes",
        "task.multi_label=true",
        "model=tiny",
        "model.architecture=deberta-v2",
        "tuning=top_layers",
        "tuning.k=1",
        "loss=focal",
    ],
    "regression": [
        "data=number",
        "task=regression",
        "loss=mse",
        "model=tiny",
        "model.architecture=electra",
        "tuning=bitfit",
        "scheduler=constant",
    ],
    "prompt": [
        "data=class",
        "model=tiny",
        "model.architecture=llama",
        "tuning=prompt",
        "tuning.num_virtual_tokens=3",
        "batch.bucket=1",
        "callbacks.early_stopping.patience=1",
    ],
    "steps": [
        "data=class",
        "model=tiny",
        "model.architecture=xlnet",
        "tuning=full",
        "trainer.max_steps=5",
        "batch.max_tokens=64",
        "loss.label_smoothing=0.1",
    ],
    "squared": [
        "data=class",
        "model=tiny",
        "model.architecture=distilbert",
        "tuning=full",
        "loss=mse",
        "optimizer=adam",
        "trainer.gradient_clip_val=0.1",
    ],
    "two_ranks": ["data=class", "model=tiny", "tuning=full", "trainer=ddp", "trainer.accelerator=cpu", "model.dropout=0.0"],
    "last": [
        "data=class",
        "model=tiny",
        "model.architecture=qwen3",
        "tuning=lora",
        "tuning.r=2",
        "callbacks=last",
        "optimizer.head_lr_multiplier=3.0",
    ],
}


def write_data(folder: Path, kind: str) -> Path:
    """A CSV of 70 rows of one kind of labels."""
    draw, path = random.Random(f"golden {kind}"), folder / f"{kind}.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", *(["text_pair"] if kind == "pair" else []), "label"])
        for _ in range(70):
            text = [draw.choice(VOCABULARY) for _ in range(draw.randint(2, 14))]
            score = sum((word in VOCABULARY[:5]) - (word in VOCABULARY[5:10]) for word in text)
            label: Any = {"class": ("bad", "even", "good")[(score > 0) - (score < 0) + 1], "pair": "yes" if score > 0 else "no",
                          "classes": ";".join((["low"] if score < 0 else ["high"]) + (["long"] if len(text) > 8 else [])),
                          "number": score / 2}[kind]  # fmt: skip
            writer.writerow([" ".join(text), *([" ".join(reversed(text))] if kind == "pair" else []), label])
    return path


def overrides_of(name: str, data: Path) -> list[str]:
    """The overrides of a run; `data=KIND` becomes its file and columns."""
    kind = RUNS[name][0].removeprefix("data=")
    files = [f"dataset.files.train={data / f'{kind}.csv'}"]
    files += ["dataset.columns.text_pair=text_pair"] if kind == "pair" else []
    files += ["dataset.label_separator=';'"] if kind == "classes" else []
    return [*COMMON, *files, *RUNS[name][1:]]


def numbers(run: Path) -> dict[str, Any]:
    """Everything a run computed."""
    import pyarrow.parquet
    import torch

    result = json.loads((run / "result.json").read_text())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    state = torch.load(run / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    logits = pyarrow.parquet.read_table(run / "predictions" / "test.parquet").column("logits").to_pylist()
    return {
        "fingerprint": result["fingerprint"],
        "lines": [{name: value for name, value in line.items() if name != "seconds"} for line in lines],
        "metrics": result["metrics"],
        "selection": result["selection"],
        "steps": result["training"]["steps"],
        "stopped_by": result["training"]["stopped_by"],
        "tensors": {name: [float(tensor.double().sum()), float(tensor.double().norm())] for name, tensor in sorted(state.items())},
        "logits": logits,
    }


def measured() -> dict[str, Any]:
    """Train all runs, two at a time, and read their numbers."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("GOLDEN_DIR")) as folder:
        for kind in ("class", "pair", "classes", "number"):
            write_data(Path(folder), kind)

        def one(name: str) -> dict[str, Any]:
            output = Path(folder, name)
            command = [sys.executable, "-m", "finecomb", "train", *overrides_of(name, Path(folder)), f"output_dir={output}"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{name}: {done.stdout}{done.stderr}")
            return numbers(next(path.parent for path in output.glob("*/result.json")))

        with ThreadPoolExecutor(2) as pool:
            found: dict[str, Any] = dict(zip(RUNS, pool.map(one, RUNS), strict=True))
        runs = [str(next(Path(folder, name).glob("*/result.json")).parent) for name in ("full", "steps", "squared", "last")]
        compare = [sys.executable, "-m", "finecomb", "compare", *runs, "--metrics", "accuracy", "--output", f"{folder}/table.csv"]
        subprocess.run(compare, check=True, capture_output=True)
        found["table"] = Path(folder, "table.csv").read_text().replace(folder, "")
        return found


def differences(before: Any, after: Any, place: str = "") -> list[str]:
    """Places at which two records differ by more than 1e-6 relative, or at all where they hold no floating-point numbers."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [*before, *(key for key in after if key not in before)]
        return [line for key in keys for line in differences(before.get(key), after.get(key), f"{place}/{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [line for at, pair in enumerate(zip(before, after, strict=True)) for line in differences(*pair, f"{place}[{at}]")]
    if isinstance(before, float) and isinstance(after, float) and math.isclose(before, after, rel_tol=1e-6, abs_tol=1e-9):
        return []
    return [] if before == after else [f"{place}: {before!r} is now {after!r}"]


def table_of(text: str, *, named: bool) -> list[dict[str, str]]:
    """The rows of a table without what differs from one run of the same training to the next. named: with the names of the rows."""
    left_out = {"training_seconds", "peak_memory_bytes", *(() if named else ("row", "accuracy_compared_with"))}
    return [{key: value for key, value in row.items() if key not in left_out} for row in csv.DictReader(text.splitlines())]


def comparable(record: dict[str, Any], *, fingerprints: bool) -> dict[str, Any]:
    """What of a record two versions must agree on."""
    runs = {name: record[name] if fingerprints else {**record[name], "fingerprint": None} for name in RUNS}
    return {**runs, "table": table_of(record["table"], named=fingerprints)}


def main(command: str, file: str, *options: str) -> int:
    """Record, or compare with a record."""
    found = measured()
    if command == "record":
        Path(file).write_text(json.dumps(found, indent=1))
        return 0
    fingerprints = "--ignore-fingerprints" not in options
    before = comparable(json.loads(Path(file).read_text()), fingerprints=fingerprints)
    found = comparable(json.loads(json.dumps(found)), fingerprints=fingerprints)
    lines = differences(before, found)
    print("\n".join(lines[:60]) or f"equal: {len(RUNS)} runs" + (", bit for bit" if found == before else ", within 1e-6"))
    return int(bool(lines))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
