"""Do the intervals cover, and do the tests keep their level, when seeds and examples both vary? `python -m benchmarks.statistics`

Runs are simulated: an example has a difficulty, an arm its own view of each example, a run (seed) an ability and noise of its own on each
example; a run answers rightly where their sum is positive. The truth is the arm's mean accuracy over all seeds and examples.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import numpy as np

from finecomb.studies.statistics import seeds as over_seeds
from finecomb.studies.statistics import significance, two_way
from finecomb.studies.statistics.metrics import Floats
from finecomb.studies.statistics.resampling import Interval
from finecomb.studies.statistics.two_way import Difference


@dataclass(frozen=True)
class World:
    """Standard deviations of what makes answers right. lift: by how much each arm is better than the first, on the same scale."""

    easy: float = 1.2
    difficulty: float = 1.0
    arm: float = 0.5
    seed: float = 0.08
    noise: float = 0.5

    def accuracy(self, lift: float = 0.0) -> float:
        """The true accuracy: P(easy + lift + everything random > 0)."""
        spread = math.sqrt(self.difficulty**2 + self.arm**2 + self.seed**2 + self.noise**2)
        return 0.5 * (1 + math.erf((self.easy + lift) / spread / math.sqrt(2)))

    def runs(self, generator: np.random.Generator, arms: int, seeds: int, examples: int, lifts: Floats) -> Floats:
        """Correctness [arms, seeds, examples]."""
        difficulty = generator.normal(0, self.difficulty, examples)
        views = generator.normal(0, self.arm, (arms, 1, examples))
        ability = generator.normal(0, self.seed, (arms, seeds, 1))
        noise = generator.normal(0, self.noise, (arms, seeds, examples))
        return (self.easy + lifts[:, None, None] + difficulty + views + ability + noise > 0).astype(np.float64)


def left_out(correct: Floats) -> tuple[Floats, Floats]:
    """Accuracy [m] of runs [m, N], and with each group of examples left out [G, m]."""
    weights = two_way.leave_out_weights(correct.shape[1])
    return correct.mean(axis=1), weights @ correct.T / weights.sum(axis=1, keepdims=True)


def _judged(found: Difference) -> tuple[Interval, float]:
    """Its interval and p, which several runs give."""
    assert found.interval is not None
    return found.interval, math.nan if found.p is None else found.p


def simulate(world: World, tables: int, *, arms: int, seeds: int, examples: int, lift: float = 0.0, seed: int = 0) -> dict[str, float]:
    """Over many tables: coverage of each arm's interval and of differences, false alarms and findings of the test, alone and after Holm."""
    generator = np.random.default_rng(seed)
    lifts = np.r_[0.0, np.full(arms - 1, lift)]
    truth = np.array([world.accuracy(each) for each in lifts])
    names = ("arm covered", "difference covered", "one found", "table found", "holm found", "sign-flip found", "examples only")
    counts = dict.fromkeys(names, 0.0)
    for _ in range(tables):
        sides = [left_out(each) for each in world.runs(generator, arms, seeds, examples, lifts)]
        own = _judged(two_way.difference(sides[1][0], None, sides[1][1], None))
        counts["arm covered"] += own[0].low <= truth[1] <= own[0].high
        differences = [two_way.difference(value, sides[0][0], part, sides[0][1]) for value, part in sides[1:]]
        found = [_judged(each) for each in differences]
        counts["difference covered"] += found[0][0].low <= truth[1] - truth[0] <= found[0][0].high
        adjusted = significance.holm([p for _, p in found])
        counts["one found"] += found[0][1] < 0.05
        counts["table found"] += any(p < 0.05 for _, p in found)
        counts["holm found"] += any(p is not None and p < 0.05 for p in adjusted)
        counts["sign-flip found"] += significance.sign_flip(sides[1][0].tolist(), sides[0][0].tolist()) < 0.05
        counts["examples only"] += (over := differences[0].over_examples) is not None and over.excludes(0.0)
    return {name: count / tables for name, count in counts.items()}


def coverage_over_seeds(tables: int, seeds: int) -> dict[str, float]:
    """Coverage of intervals of the mean of a few normal values."""
    generator = np.random.default_rng(0)
    found = dict.fromkeys(("t", "percentile", "BCa"), 0)
    for _ in range(tables):
        values = generator.normal(0, 1, seeds).tolist()
        for name in found:
            interval = over_seeds.t_interval(values) if name == "t" else over_seeds.bootstrap_interval(values, method=name)
            found[name] += interval is not None and interval.low <= 0 <= interval.high
    return {name: count / tables for name, count in found.items()}


def main() -> None:
    """Print every setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=2000)
    tables = parser.parse_args().tables
    for name, world in {"usual": World(), "noisy seeds": World(seed=0.3), "hardly any noise of seeds": World(seed=0.01, noise=0.1)}.items():
        for seeds, examples in ((2, 1000), (3, 500), (3, 1000), (5, 500), (5, 1000), (10, 1000)):
            null = simulate(world, tables, arms=5, seeds=seeds, examples=examples)
            print(f"{name}, {seeds} seeds, {examples} examples, no difference:", {key: round(value, 3) for key, value in null.items()})
    for seeds in (3, 5, 10):
        world, lift = World(), 0.25
        gain = world.accuracy(lift) - world.accuracy()
        found = simulate(world, tables, arms=2, seeds=seeds, examples=1000, lift=lift)
        shares = {name: round(found[name], 3) for name in ("one found", "sign-flip found", "difference covered")}
        print(f"usual, {seeds} seeds, 1000 examples, difference {gain:.3f}:", shares)
    for seeds in (3, 5, 10):
        print(f"intervals of the mean of {seeds} normal seeds:", coverage_over_seeds(min(tables, 1000), seeds))


if __name__ == "__main__":
    main()
