"""What balancing buys when a word stands for the label in train and not in test: accuracy, and accuracy of the worst group.

    python -m benchmarks.balance [--seeds 10] [--aligned 0.9] [--regularisation 1.0]

Sentences of film reviews (movie_reviews, good or bad). Each gets one of two made-up words in front: in train the one of its label in 90 %
of the rows, in test either at random. Groups are the four pairs of label and word. The model is a logistic regression on hashed words, so
an arm takes a second; nothing is tuned, on validation or elsewhere. Each seed plants the words anew and draws copies
anew; the sentences and their split stay. Ways of balancing are those of `sampler` and `augmenter`, called as the library they are.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

from finecomb.config.compose import compose
from finecomb.config.schema.augmenter import Operations
from finecomb.config.schema.sampler import Balanced
from finecomb.data import augmenter
from finecomb.data.prepare import prepare
from finecomb.data.sampler import balance

WORDS = ("florn", "drimble")  # of bad and good; no words of the language


@dataclass
class Rows:
    """Sentences with a word in front. group: which word."""

    ids: list[str]
    texts: list[str]
    labels: list[str]
    groups: list[str]
    weights: list[float] | None = None


Arm = Callable[[Rows, int], Rows]


def planted(rows: Rows, aligned: float, seed: str) -> Rows:
    """The rows with a word in front, the one of the label for a share `aligned` of each label's rows."""
    draw = random.Random(seed)
    groups = [""] * len(rows.ids)
    for number, label in enumerate(sorted(set(rows.labels))):
        mine = [row for row, other in enumerate(rows.labels) if other == label]
        draw.shuffle(mine)
        for place, row in enumerate(mine):
            groups[row] = WORDS[number if place < round(aligned * len(mine)) else 1 - number]
    return Rows(rows.ids, [f"{group} {text}" for group, text in zip(groups, rows.texts, strict=True)], rows.labels, groups)


def sampled(by: str, method: str, target: str = "equal") -> Arm:
    """An arm that balances by the sampler."""

    def run(rows: Rows, seed: int) -> Rows:
        config = Balanced("balanced", by=by, method=method, target=target, strength=1.0, seed=seed)
        found = balance(rows.ids, rows.labels, rows.groups, config)
        ids, texts, labels, groups = ([column[row] for row in found.rows] for column in (rows.ids, rows.texts, rows.labels, rows.groups))
        return Rows(ids, texts, labels, groups, found.weights)

    return run


def swapped(terms: Path) -> Arm:
    """An arm that adds each row once more with the other word; its group is read off its text."""

    def run(rows: Rows, seed: int) -> Rows:
        operations = {"counterfactual": {"rate": 1.0, "terms": str(terms)}}
        built = augmenter.build(Operations("own", seed, "en", [], operations))
        assert built is not None
        after = Rows(list(rows.ids), list(rows.texts), list(rows.labels), list(rows.groups))
        for name, added in built.run(rows.ids, [rows.texts]):
            for new in added.rows:
                text = new.texts[0]
                after.ids.append(f"{rows.ids[new.origin]}+{name}{new.copy}")
                after.texts.append(text)
                after.labels.append(rows.labels[new.origin])
                after.groups.append(text.split()[0])
        return after

    return run


def arms(terms: Path) -> dict[str, Arm]:
    """The ways that are compared."""
    return {
        "as it is (ERM)": lambda rows, _: rows,
        "weights, by label": sampled("label", "weights"),
        "weights, label and word independent": sampled("label_group", "weights", "independent"),
        "weights, by label_group": sampled("label_group", "weights"),
        "oversample, by label_group": sampled("label_group", "oversample"),
        "undersample, by label_group": sampled("label_group", "undersample"),
        "counterfactual swap of the words": swapped(terms),
    }


def accuracies(train: Rows, test: Rows, regularisation: float) -> tuple[float, float, float]:
    """Accuracy on test, of its worst group, and of the mean of its groups."""
    features = HashingVectorizer(n_features=2**16)
    model = LogisticRegression(C=regularisation, solver="liblinear").fit(
        features.transform(train.texts), train.labels, sample_weight=train.weights
    )
    right = model.predict(features.transform(test.texts)) == np.array(test.labels)
    cells = np.array([f"{label} {group}" for label, group in zip(test.labels, test.groups, strict=True)])
    groups = [float(right[cells == cell].mean()) for cell in sorted(set(cells))]
    return float(right.mean()), min(groups), float(np.mean(groups))


def sentences() -> dict[str, Rows]:
    """Train and test of movie_reviews, cleaned as by default."""
    config = compose(["dataset=movie_reviews"]).config
    prepared = prepare(config.dataset, config.cleaner, task_variant="sequence_classification")
    names = prepared.label_names or []
    return {
        split: Rows(table["id"][:], table["text"][:], [names[label] for label in table["label"][:]], [])
        for split, table in prepared.load().items()
    }


def line(name: str, rows: Sequence[int], found: Sequence[tuple[float, float, float]], base: Sequence[tuple[float, float, float]]) -> str:
    """One line of the table: means over seeds, and the paired difference to the first arm with its 95 % interval."""
    cells = [name, f"{np.mean(rows):,.0f}"]
    for column in (0, 1):
        values = np.array([each[column] for each in found])
        difference = values - np.array([each[column] for each in base])
        half = stats.t.ppf(0.975, len(values) - 1) * difference.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
        cells += [f"{values.mean():.3f}", f"{difference.mean():+.3f} ± {half:.3f}" if found is not base else ""]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run every arm with every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--aligned", type=float, default=0.9)
    parser.add_argument("--regularisation", type=float, default=1.0, help="C of the logistic regression: the larger, the weaker")
    options = parser.parse_args()
    splits = sentences()
    with tempfile.TemporaryDirectory() as folder:
        terms = Path(folder) / "terms.tsv"
        terms.write_text("\t".join(WORDS) + "\n")
        found: dict[str, list[tuple[float, float, float]]] = {}
        sizes: dict[str, list[int]] = {}
        for seed in range(options.seeds):
            train = planted(splits["train"], options.aligned, f"train {seed}")
            test = planted(splits["test"], 0.5, f"test {seed}")
            for name, arm in arms(terms).items():
                rows = arm(train, seed)
                sizes.setdefault(name, []).append(len(rows.ids))
                found.setdefault(name, []).append(accuracies(rows, test, options.regularisation))
    head = f"{options.seeds} seeds, {len(splits['test'].ids):,} test rows, the word of the label in {options.aligned:.0%} of train"
    print(f"{head}, C = {options.regularisation:g}\n")
    print("| | train rows | accuracy | against ERM | worst group | against ERM |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    base = next(iter(found.values()))
    for name, values in found.items():
        print(line(name, sizes[name], values, base))


if __name__ == "__main__":
    main()
