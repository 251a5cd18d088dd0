"""What an analysis gives: rows with estimates, intervals, verdicts and costs, in columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from finecomb.config.plugins import lower_is_better
from finecomb.studies.analysis.facts import ColumnFacts, StudyFacts
from finecomb.studies.analysis.statistics import Floats, Interval, two_way
from finecomb.studies.analysis.statistics.seeds import Summary

if TYPE_CHECKING:
    from finecomb.studies.analysis.arms import ComparedRun

BETTER, WORSE, NOT_SHOWN, ONE_SEED, UNDEFINED = "better", "worse", "no difference shown", "cannot tell: one seed", "cannot tell: undefined"


@dataclass
class Row:
    """One arm or reference in one column, for one metric.

    values: by seed. own: its mean with the interval over seeds and examples. to_baseline, to_best: differences, None for that row itself.
    p: corrected for every comparison with a baseline in the study. sign_flip: paired by seed, None unless both have the same seeds.
    needed: seeds of each arm that would show the difference seen, None where none would or nothing is known. best: also for each of several
    equal arms. zero_divisions: seeds whose value is 0 / 0 and counts as 0. runs: behind the row, where they were read here.
    competes: is tested, and may be the best.
    """

    arm: str
    kind: str
    seeds: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    values: Floats | None = None
    described: Summary | None = None
    own: two_way.Difference | None = None
    over_seeds: Interval | None = None
    to_baseline: two_way.Difference | None = None
    p: float | None = None
    verdict: str = ""
    sign_flip: float | None = None
    smallest_sign_flip: float | None = None
    improvement: float | None = None
    needed: int | None = None
    best: bool = False
    as_good: bool = False
    setting: str = ""
    edges: list[str] = field(default_factory=list)
    costs: dict[str, float | None] = field(default_factory=dict)
    trials: int = 0
    expected: list[float] = field(default_factory=list)
    trial_seconds: float | None = None
    published: float | None = None
    spread: float | None = None
    source: str = ""
    zero_divisions: int = 0
    learning_rate: float | None = None
    competes: bool = True
    runs: list[ComparedRun] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The name of the row."""
        return self.arm

    @property
    def value(self) -> float | None:
        """The mean over seeds; nan where the metric is undefined, None where nothing was measured."""
        return self.own.value if self.own else self.published

    @property
    def interval(self) -> Interval | None:
        """For other seeds and examples; of one seed, and of a reference, for other examples alone."""
        return (self.own.interval or self.own.over_examples) if self.own else None

    @property
    def std(self) -> float | None:
        """Standard deviation over seeds (n - 1); None for one seed."""
        return self.described.deviation if self.described and self.kind == "arm" else self.spread

    @property
    def difference(self) -> float | None:
        """To the baseline; None for the baseline itself."""
        return self.to_baseline.value if self.to_baseline else None

    @property
    def difference_interval(self) -> Interval | None:
        """As `interval`, paired by example."""
        return (self.to_baseline.interval or self.to_baseline.over_examples) if self.to_baseline else None

    @property
    def better(self) -> bool | None:
        """Whether it is better or worse than the baseline; None where no difference is shown."""
        return {BETTER: True, WORSE: False}.get(self.verdict)


@dataclass
class ColumnTable:
    """One metric of a column of the study: rows (arms in the study's order, then references), what was measured, and warnings."""

    name: str
    metric: str
    split: str
    examples: int
    baseline: str
    rows: list[Row]
    facts: ColumnFacts
    warnings: list[str]

    def rank(self, row: Row) -> tuple[bool, bool, float, str]:
        """Sorts arms by score, best first, then references likewise; rows without a score come last."""
        value = float("nan") if row.value is None else row.value
        return row.kind != "arm", value != value, (1 if self.lower_is_better else -1) * value if value == value else 0.0, row.arm

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller value wins."""
        return lower_is_better(self.metric)


@dataclass
class Analysis:
    """All columns of a study. notes: what holds for all of them."""

    facts: StudyFacts
    columns: list[ColumnTable]
    warnings: list[str]
