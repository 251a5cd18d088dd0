"""A study's frames without a training: arms of known quality, seeds, examples, trials and curves."""

import numpy as np
import pandas as pd

from finecomb.studies.analysis.facts import ArmFacts, ColumnFacts, StudyFacts
from finecomb.studies.analysis.frames import Frames, table_of
from finecomb.studies.plan.study_plan import Reference, Tune

CODE, MACHINE = "abc123", "a processor, 1 threads, bf16"


def frames(*, columns=("",), arms=("full", "head"), seeds=(1, 2, 3), examples=200, baseline="full", lift=0.15, tune=True, references=()):
    """The first arm answers 80 % rightly, each later one `lift` less; deterministic."""
    draw = np.random.default_rng(0)
    results, answers, curves = [], [], []
    for column in columns:
        labels = np.where(draw.random(examples) < 0.5, "positive", "negative")
        other = np.where(labels == "positive", "negative", "positive")
        ids = [f"{number:05d}" for number in range(examples)]
        for place, arm in enumerate(arms):
            for trial in range(3 if tune else 0):
                results.append(
                    row(
                        column,
                        arm,
                        "trial",
                        0,
                        trial,
                        f"optimizer.lr={10.0**-trial!r}",
                        {"validation/accuracy": 0.6 + 0.05 * trial - 0.1 * place},
                    )
                )
            for seed in seeds:
                right = draw.random(examples) < 0.8 - lift * place
                answer = np.where(right, labels, other)
                metrics = {"validation/accuracy": 0.7, "test/accuracy": float(right.mean())}
                results.append(row(column, arm, "confirm", seed, None, "optimizer.lr=0.01" if tune else "", metrics))
                answers.append(
                    pd.DataFrame(
                        {"column": column, "arm": arm, "seed": seed, "split": "test", "id": ids, "label": labels, "prediction": answer}
                    )
                )
                curves += [
                    {
                        "column": column,
                        "arm": arm,
                        "role": "confirm",
                        "trial": None,
                        "seed": seed,
                        "step": step,
                        "epoch": step / 10,
                        "name": "validation/accuracy",
                        "value": 0.5 + 0.02 * step,
                    }
                    for step in (10, 20)
                ]
    return Frames(
        facts(columns, arms, seeds, baseline, tune, references),
        table_of(results, []),
        pd.concat(answers, ignore_index=True),
        table_of(curves, []),
    )


def row(column, arm, role, seed, trial, setting, metrics):
    run = f"{column}{arm}-{role}-{seed}-{trial}"
    place = {"column": column, "arm": arm, "role": role, "trial": trial, "seed": seed, "setting": setting, "run": run, "state": "finished"}
    costs = {"train_rows": 640, "parameters_trainable": 1000, "parameters_total": 2000, "stored_bytes": 4000, "artifact_bytes": 5000}
    costs |= {"train_s": 2.0, "total_s": 3.0, "peak_bytes": 10**9, "tokens_per_s": 100.0, "learning_rate": 0.01}
    return {**place, "overrides": f"tuning={arm}", **costs, "machine": MACHINE, "code": CODE, "data": "d1", **metrics}


def facts(columns, arms, seeds, baseline, tune, references):
    model = {"model": "tiny", "labels": ["negative", "positive"]}
    chosen = {column: ["optimizer.lr=0.01"] if tune else [] for column in columns}
    return StudyFacts(
        name="synthetic",
        question="Which is better?",
        command="finecomb study synthetic",
        base=["dataset=movie_reviews"],
        baseline=baseline,
        columns=[
            ColumnFacts(column, [], "accuracy", task="sequence_classification", dataset=column or "movie_reviews", **model)
            for column in columns
        ],
        arms=[ArmFacts(arm, [f"tuning={arm}"], list(seeds), {}, chosen, {column: [] for column in columns}) for arm in arms],
        references=[Reference(**each) for each in references],
        tune=Tune(3, None, "grid", 0) if tune else None,
        missing=[],
        warnings=[],
    )
