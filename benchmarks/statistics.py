"""Do the intervals cover, and do the tests keep their level, when seeds and examples both vary? `python -m benchmarks.statistics`

Runs are simulated: an example has a difficulty, an arm its own view of each example, a run (seed) an ability and noise of its own on each
example; a run answers correctly where their sum is positive. The truth is the arm's mean accuracy over all seeds and examples. Thousands of
tables are computed at once from the variances that `two_way` estimates;
tests/studies/analysis/test_two_chances.py holds both against each other.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import stdtrit

from finecomb.runs.class_metrics import Floats
from finecomb.studies.analysis.statistics import corrected, significance, two_way
from finecomb.studies.analysis.statistics import seeds as over_seeds
from finecomb.studies.report.formatting import pipes

LEVEL = corrected.LEVEL
PROMISED = 0.055
UNEVEN = "seeds matter unequally"
_AT_ONCE = 4_000_000
Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class World:
    """Standard deviations of what makes answers right. uneven: seeds matter from nothing (first arm) to four times `seed` (last arm)."""

    easy: float = 1.2
    difficulty: float = 1.0
    arm: float = 0.5
    seed: float = 0.08
    noise: float = 0.5
    uneven: bool = False

    def accuracy(self, lift: float = 0.0) -> float:
        """The true accuracy: P(easy + lift + everything random > 0)."""
        return 0.5 * (1 + math.erf((self.easy + lift) / float(self._spread(np.array(self.seed))) / math.sqrt(2)))

    def _spread(self, seed: Floats) -> Floats:
        return np.sqrt(self.difficulty**2 + self.arm**2 + seed**2 + self.noise**2)

    def runs(self, generator: np.random.Generator, tables: int, arms: int, seeds: int, examples: int, lifts: Floats) -> Bools:
        """Correctness [tables, arms, seeds, examples], as booleans. Arms without a lift have the same true accuracy."""

        def normal(*shape: int) -> Floats:
            return generator.standard_normal((tables, *shape), dtype=np.float32)  # type: ignore[return-value]

        ability = self.seed * (np.linspace(0, 4, arms) if self.uneven else np.ones(arms))
        easy = self.easy * self._spread(ability) / float(self._spread(np.array(self.seed))) + lifts
        shared = normal(1, examples) * np.float32(self.difficulty) + normal(arms, examples) * np.float32(self.arm)
        answers = normal(arms, seeds, examples) * np.float32(self.noise)
        answers += normal(arms, seeds, 1) * ability.astype(np.float32)[:, None, None] + easy.astype(np.float32)[:, None, None]
        answers += shared[:, :, None]
        return np.asarray(answers > 0)


WORLDS = {
    "usual": World(),
    "noisy seeds": World(seed=0.3),
    "hardly any noise of seeds": World(seed=0.01, noise=0.1),
    UNEVEN: World(uneven=True),
}


@dataclass(frozen=True)
class Tables:
    """Of many tables: accuracy [T, A, m]; variances over examples: covariance [T, A, A] of the arms' means, single [T, A] of one run."""

    values: Floats
    covariance: Floats
    single: Floats
    examples: int

    @classmethod
    def of(cls, correct: Bools) -> Tables:
        """From correctness [T, A, m, N]. For accuracy the jackknife over examples is the sample covariance over N."""
        examples = correct.shape[-1]
        values, per_example = correct.mean(axis=3), correct.mean(axis=2)
        centred = per_example - per_example.mean(axis=2, keepdims=True)
        covariance = centred @ centred.transpose(0, 2, 1) / (examples - 1) / examples
        return cls(values, covariance, (values * (1 - values) / (examples - 1)).mean(axis=2), examples)

    @property
    def means(self) -> Floats:
        """Accuracy [T, A] over seeds."""
        return np.asarray(self.values.mean(axis=2))

    def parts(self, first: Indices, second: Indices | None) -> tuple[Floats, Floats, Floats, Floats]:
        """Difference [T] of two arms (indices [T]; None: of an arm to 0), its parts of examples and seeds, the freedom of the latter."""
        rows, seeds = np.arange(len(self.values)), self.values.shape[2]
        by_seeds = self.values.var(axis=2, ddof=1) / seeds
        own = np.einsum("taa->ta", self.covariance)
        twice = two_way.interaction(self.single, own, seeds)
        arms = [first] if second is None else [first, second]
        by_examples, value = own[rows, first], self.means[rows, first]
        if second is not None:
            by_examples = by_examples + own[rows, second] - 2 * self.covariance[rows, first, second]
            value = value - self.means[rows, second]
        sides = [by_seeds[rows, arm] for arm in arms], [twice[rows, arm] for arm in arms]
        return value, *two_way.split(by_examples, *sides, [seeds - 1] * len(arms))


def _half(parts: tuple[Floats, Floats, Floats, Floats], examples: int, level: float) -> Floats:
    """Half width [T] of intervals, as `two_way.Parts.half_width`."""
    _, over_examples, seeds, freedom = parts
    squares = stdtrit(examples - 1, level / 2) ** 2 * over_examples + stdtrit(freedom, level / 2) ** 2 * seeds
    return np.asarray(np.sqrt(squares))


def _half_range(parts: tuple[Floats, Floats, Floats, Floats], examples: int, rows: int, seeds: int) -> Floats:
    """How far apart [T] the best and another of so many rows must be, as in `corrected.range_p`."""
    _, over_examples, of_seeds, freedom = parts

    def critical(freedoms: Floats) -> Floats:
        return np.array([np.interp(np.log(LEVEL), np.log(corrected._LEVELS), corrected.critical_range(rows, each)) for each in freedoms])

    # Welch's degrees of freedom of two arms lie between n - 1 and twice that.
    grid = np.geomspace(seeds - 1, 2 * seeds - 2, 30)
    of_range = np.exp(np.interp(np.log(freedom), np.log(grid), np.log(critical(grid))))
    return np.asarray(np.sqrt((critical(np.array([examples - 1.0])) ** 2 * over_examples + of_range**2 * of_seeds) / 2))


def _found(tables: Tables) -> dict[str, Bools]:
    """Findings [T] at 5 % in tables, by procedure."""
    count, rows, seeds = tables.values.shape
    first = np.zeros(count, dtype=np.int64)
    against_first = [tables.parts(np.full(count, arm), first) for arm in range(1, rows)]
    first_pair = against_first[0]
    by_examples = tables.covariance[:, 0, 0] + tables.covariance[:, 1, 1] - 2 * tables.covariance[:, 0, 1]
    found = {"one found": np.abs(first_pair[0]) > _half(first_pair, tables.examples, LEVEL)}
    found["examples only"] = np.abs(first_pair[0]) > -stdtrit(tables.examples - 1, LEVEL / 2) * np.sqrt(by_examples)
    # A step-down procedure finds anything exactly where its first step does.
    found["holm found"] = np.any([np.abs(each[0]) > _half(each, tables.examples, LEVEL / (rows - 1)) for each in against_first], axis=0)
    welch = [-stdtrit(freedom, LEVEL / (rows - 1) / 2) * np.sqrt(seeds_part) for _, _, seeds_part, freedom in against_first]
    found["welch found"] = np.any([np.abs(each[0]) > half for each, half in zip(against_first, welch, strict=True)], axis=0)
    best = tables.means.argmax(axis=1).astype(np.int64)
    by_range = corrected.uses_range(rows, seeds)
    found["best found"], found["uncorrected found"] = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    for arm in range(rows):
        other = np.full(count, arm)
        parts = tables.parts(other, best)
        half = (
            _half_range(parts, tables.examples, rows, seeds) if by_range else _half(parts, tables.examples, LEVEL / (rows * (rows - 1) / 2))
        )
        found["best found"] |= (other != best) & (np.abs(parts[0]) > half)
        found["uncorrected found"] |= (other != best) & (np.abs(parts[0]) > _half(parts, tables.examples, LEVEL))
    return found


def drawn(world: World, tables: int, *, arms: int, seeds: int, examples: int, lift: float = 0.0, seed: int = 0) -> Iterator[Tables]:
    """Tables in pieces that fit the memory. lift: by how much each arm is easier than the first."""
    generator = np.random.default_rng([seed, arms, seeds, examples])
    lifts = np.r_[0.0, np.full(arms - 1, lift)]
    piece = max(1, _AT_ONCE // (arms * seeds * examples))
    for start in range(0, tables, piece):
        yield Tables.of(world.runs(generator, min(piece, tables - start), arms, seeds, examples, lifts))


def simulate(world: World, tables: int, *, arms: int, seeds: int, examples: int, lift: float = 0.0, seed: int = 0) -> dict[str, float]:
    """Over many tables: coverage of an arm's interval and of a difference; shares of tables with a finding, by procedure."""
    pieces = list(drawn(world, tables, arms=arms, seeds=seeds, examples=examples, lift=lift, seed=seed))
    values, covariance, single = (np.concatenate([getattr(each, name) for each in pieces]) for name in ("values", "covariance", "single"))
    every = Tables(values, covariance, single, examples)
    first, second = np.zeros(tables, dtype=np.int64), np.ones(tables, dtype=np.int64)
    counts = dict(_found(every))
    own, between = every.parts(second, None), every.parts(second, first)
    truth = world.accuracy(lift), world.accuracy(lift) - world.accuracy()
    counts["arm covered"] = np.abs(own[0] - truth[0]) <= _half(own, examples, LEVEL)
    counts["difference covered"] = np.abs(between[0] - truth[1]) <= _half(between, examples, LEVEL)
    return {name: float(each.mean()) for name, each in counts.items()}


def upper_bound(share: float, tables: int) -> float:
    """Upper 95 % bound of a share (Clopper & Pearson 1934)."""
    hits = round(share * tables)
    return 1.0 if hits == tables else float(stats.beta.ppf(0.95, hits + 1, tables - hits))


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


def sign_flips_found(world: World, tables: int, *, seeds: int, examples: int, lift: float) -> float:
    """Share of tables of two arms in which the sign-flip test over seeds finds a difference."""
    values = np.concatenate([each.values for each in drawn(world, tables, arms=2, seeds=seeds, examples=examples, lift=lift)])
    return float(np.mean([significance.sign_flip(ours, theirs) < LEVEL for theirs, ours in values]))


GRID = [(arms, seeds, 300) for arms in (3, 5, 8) for seeds in (2, 3, 5, 10)] + [(3, 3, 2000)]


def level_grid(world: World, tables: int) -> tuple[list[str], float]:
    """Lines of a Markdown table of equal arms, and the largest upper bound of a level that is promised."""
    header = ["arms", "seeds", "examples", "named baseline, Holm", "best row, corrected", "Welch over seeds, Holm", "best row, uncorrected"]
    rows, worst = [[*header, "an arm's interval covers", "a difference's interval covers"]], 0.0
    rows.append(["---:"] * len(rows[0]))
    for arms, seeds, examples in GRID:
        found = simulate(world, tables, arms=arms, seeds=seeds, examples=examples)
        promised = [found["holm found"], found["best found"]]
        worst = max(worst, *(upper_bound(share, tables) for share in promised))
        levels = [f"{share:.1%} (≤ {upper_bound(share, tables):.1%})" for share in (*promised, found["welch found"])]
        covered = [f"{found[name]:.1%}" for name in ("arm covered", "difference covered")]
        rows.append([str(arms), str(seeds), f"{examples:,}", *levels, f"{found['uncorrected found']:.1%}", *covered])
    return pipes(rows), worst


def uneven_levels(tables: int) -> list[str]:
    """Lines of a Markdown table of equal arms of which some vary far more over seeds than others: what `corrected.uneven_seeds` states."""
    rows = [["the last arm's deviation over seeds, points", "arms", "seeds", "named baseline, Holm", "best row, corrected"], ["---:"] * 5]
    for seed in (0.08, 0.15, 0.3):
        world = World(seed=seed, uneven=True)
        correct = world.runs(np.random.default_rng(1), 20, 3, 50, 1000, np.zeros(3))
        points = 100 * float(correct.mean(axis=3)[:, -1].std(axis=1, ddof=1).mean())
        for arms, seeds in ((3, 3), (3, 5), (3, 10), (5, 5), (5, 10)):
            found = simulate(world, tables, arms=arms, seeds=seeds, examples=300)
            rows.append([f"{points:.0f}", str(arms), str(seeds), f"{found['holm found']:.1%}", f"{found['best found']:.1%}"])
    return pipes(rows)


def main() -> None:
    """Print levels and coverage in every world, then power."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=20_000, help="simulated tables for each cell of the grid")
    tables = parser.parse_args().tables
    print(f"Share of tables of equal arms with a finding at {LEVEL:.0%} (and its upper 95 % bound), {tables:,} tables a cell\n")
    worst = 0.0
    for name, world in WORLDS.items():
        lines, bound = level_grid(world, tables)
        # With 3 or 4 seeds tables state the higher level of this world.
        worst = max(worst, bound) if name != UNEVEN else worst
        print(f"**{name}** (largest upper bound {bound:.1%})\n\n" + "\n".join(lines) + "\n", flush=True)
    few = min(tables, 3000)
    print(f"**arms whose seeds vary far more than others'** ({few:,} tables a cell)\n\n" + "\n".join(uneven_levels(few)) + "\n", flush=True)
    print(f"Largest upper bound in the worlds in which finecomb promises 5 %: {worst:.2%}, at most {PROMISED:.1%} required\n", flush=True)
    for seeds in (3, 5, 10):
        world, lift = WORLDS["usual"], 0.25
        few = min(tables, 2000)
        found = simulate(world, few, arms=2, seeds=seeds, examples=1000, lift=lift)
        shares = {name: round(found[name], 3) for name in ("one found", "welch found", "difference covered")}
        shares["sign-flip found"] = round(sign_flips_found(world, few, seeds=seeds, examples=1000, lift=lift), 3)
        print(f"usual, {seeds} seeds, 1000 examples, difference {world.accuracy(lift) - world.accuracy():.3f}:", shares)
    for seeds in (3, 5, 10):
        print(f"intervals of the mean of {seeds} normal seeds:", coverage_over_seeds(min(tables, 1000), seeds))
    if worst > PROMISED and tables >= 20_000:  # the bound of few tables is wide
        raise SystemExit("a level is above what is promised")


if __name__ == "__main__":
    main()
