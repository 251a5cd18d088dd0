"""How often two draws of runs of one arm are called different: `python experiments/same_arm_twice/false_alarms.py`

The 24 runs of this study differ in their seed alone. Many times, k of them are called one arm and k others another, and both are compared
on n of the test examples drawn at random; whatever is then found is a false alarm. Reads results/, writes results/false_alarms.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import stats

from finecomb.studies.analysis import frames
from finecomb.studies.analysis.statistics import significance, two_way
from finecomb.studies.report.formatting import pipes

HERE = Path(__file__).parent
DRAWS = 1000


def correctness() -> np.ndarray:
    """Whether each run [24, N] was right on each example."""
    examples = frames.read(HERE / "results").examples
    runs = examples[examples["arm"].isin(["once", "again"])]
    return np.stack([(run["label"] == run["prediction"]).to_numpy(dtype=np.float64) for _, run in runs.groupby(["arm", "seed"])])


def shares(correct: np.ndarray, seeds: int, examples: int) -> list[float]:
    """Shares of draws with a finding: by seeds and examples together, by examples alone, by seeds alone (Welch's t, sign flips)."""
    draw = np.random.default_rng(seeds * 10_000 + examples)
    weights = two_way.leave_out_weights(examples)
    found = np.zeros(4)
    for _ in range(DRAWS):
        rows = draw.permutation(len(correct))[: 2 * seeds]
        columns = draw.choice(correct.shape[1], examples, replace=False)
        sides = [correct[np.ix_(part, columns)] for part in (rows[:seeds], rows[seeds:])]
        (ours, theirs), (ours_out, theirs_out) = (
            [side.mean(axis=1) for side in sides],
            [weights @ side.T / (examples - 1) for side in sides],
        )
        compared = two_way.difference(ours, theirs, ours_out, theirs_out)
        welch = max(ours.std(), theirs.std()) > 1e-9 and stats.ttest_ind(ours, theirs, equal_var=False).pvalue < 0.05
        flipped = significance.sign_flip(ours, theirs) < 0.05
        found += [compared.p < 0.05, compared.over_examples.excludes(0.0), welch, flipped]
    return (found / DRAWS).tolist()


def main() -> None:
    """Compute and write the table."""
    correct = correctness()
    header = [
        "seeds of each arm",
        "examples",
        "seeds and examples",
        "examples alone",
        "seeds alone (Welch's t)",
        "seeds alone (sign flips)",
    ]
    rows = [header, ["---:"] * len(header)]
    for seeds in (2, 3, 5, 10):
        for examples in (250, 500, 1000):
            rows.append([str(seeds), str(examples), *(f"{share:.1%}" for share in shares(correct, seeds, examples))])
    text = "\n".join(
        [
            "# False alarms",
            "",
            f"Share of {DRAWS:,} draws from {len(correct)} runs of one arm in which two halves were called different at 5 %.",
            "The draws share runs and examples, so that they are not independent: each share is good to a few points.",
            "",
            *pipes(rows),
        ]
    )
    (HERE / "results" / "false_alarms.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
