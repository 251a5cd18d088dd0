"""Seeds, examples and both: against scipy, statsmodels, worked examples, and simulation."""

import numpy as np
import pytest
from benchmarks.statistics import WORLDS, Tables, World, _found, sign_flips_found, simulate, upper_bound
from scipy import stats

from finecomb.studies.analysis.statistics import budget, corrected, seeds, significance, two_way


def test_a_summary_of_seeds():
    found = seeds.summary([1.0, 2.0, 3.0, 4.0, 100.0])
    assert (found.mean, found.median, found.low, found.high, found.count) == (22.0, 3.0, 1.0, 100.0, 5)
    assert found.deviation == pytest.approx(np.std([1, 2, 3, 4, 100], ddof=1))
    assert seeds.summary([1.0]).deviation is None


@pytest.mark.parametrize("count", [4, 8, 40])
def test_the_interquartile_mean_is_scipys_where_quarters_are_whole(count):
    values = np.random.default_rng(count).normal(size=count)
    assert seeds.iqm(values) == pytest.approx(stats.trim_mean(values, 0.25))


def test_the_interquartile_mean_counts_border_values_in_part():
    assert seeds.iqm([0.0, 1.0, 2.0, 3.0, 10.0]) == pytest.approx((0.75 * 1 + 2 + 0.75 * 3) / 2.5)


def test_students_interval_is_scipys():
    values = [0.80, 0.82, 0.79, 0.85, 0.81]
    interval = seeds.t_interval(values)
    expected = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx(expected)
    assert seeds.t_interval([0.8]) is None


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_the_bootstrap_over_seeds_is_near_scipys(method):
    values = np.random.default_rng(0).normal(size=30)
    interval = seeds.bootstrap_interval(values, method=method)
    expected = stats.bootstrap((values,), np.mean, method=method, n_resamples=20_000, rng=np.random.default_rng(9)).confidence_interval
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_the_probability_of_improvement_is_mann_whitneys_u_by_the_pairs():
    ours, theirs = [3.0, 5.0, 5.0, 7.0], [1.0, 5.0, 6.0]
    assert seeds.probability_of_improvement(ours, theirs) == pytest.approx(stats.mannwhitneyu(ours, theirs).statistic / 12)


@pytest.mark.parametrize("count", [3, 5, 10])
def test_sign_flips_are_scipys_exact_paired_permutation(count):
    draw = np.random.default_rng(count)
    ours, theirs = draw.normal(0.5, 1, count), draw.normal(0, 1, count)
    expected = stats.permutation_test((ours, theirs), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf)
    assert significance.sign_flip(ours, theirs) == pytest.approx(expected.pvalue)


def test_no_difference_of_five_seeds_can_be_less_likely_than_one_in_sixteen():
    assert significance.sign_flip([1, 2, 3, 4, 5], [0, 0, 0, 0, 0]) == seeds.smallest_p(5) == 0.0625


def test_many_sign_flips_are_drawn_and_the_observed_one_counts():
    ours = np.full(20, 1.0)
    assert significance.sign_flip(ours, ours * 0) == pytest.approx(1 / 20_001, rel=0.01)


def test_the_unpaired_permutation_is_scipys():
    ours, theirs = [1.1, 2.3, 1.9, 2.8], [0.4, 1.2, 0.9]

    def apart(a, b):
        return abs(np.mean(a) - np.mean(b))

    expected = stats.permutation_test((ours, theirs), apart, permutation_type="independent", alternative="greater", n_resamples=np.inf)
    assert significance.permutation(ours, theirs) == pytest.approx(expected.pvalue)


def test_mcnemar_is_the_exact_test_of_statsmodels_and_its_mid_p():
    from statsmodels.stats.contingency_tables import mcnemar

    ours = np.array([1] * 59 + [1] * 6 + [0] * 16 + [0] * 80, dtype=bool)
    theirs = np.array([1] * 59 + [0] * 6 + [1] * 16 + [0] * 80, dtype=bool)
    exact = mcnemar([[59, 6], [16, 80]], exact=True).pvalue
    assert significance.mcnemar(ours, theirs, mid=False) == pytest.approx(exact) == pytest.approx(0.0525, abs=1e-4)
    # Fagerland, Lydersen & Laake 2013, table 4 (airway hyper-responsiveness: 1 and 7 discordant): exact 0.070, mid-p 0.039.
    first, second = np.array([1, *[0] * 7], dtype=bool), np.array([0, *[1] * 7], dtype=bool)
    assert significance.mcnemar(first, second, mid=False) == pytest.approx(0.0703, abs=1e-4)
    assert significance.mcnemar(first, second) == pytest.approx(0.0391, abs=1e-4)
    assert significance.mcnemar(first, first) == 1.0


def test_holm_is_that_of_statsmodels_and_leaves_unknown_ones_out():
    from statsmodels.stats.multitest import multipletests

    values = [0.01, 0.04, 0.03, 0.005, 0.2]
    assert significance.holm(values) == pytest.approx(multipletests(values, method="holm")[1].tolist())
    assert significance.holm([0.01, None, 0.04]) == [0.02, None, 0.04]


def test_approximate_randomisation_of_accuracy_agrees_with_mcnemar():
    draw = np.random.default_rng(0)
    ours, theirs = (draw.random(400) < 0.80).astype(float), (draw.random(400) < 0.74).astype(float)

    def difference(kept, changed):
        return ((kept - changed) @ (ours - theirs)) / 400

    found = significance.approximate_randomisation(difference, 400)
    assert found == pytest.approx(significance.mcnemar(ours > 0, theirs > 0, mid=False), abs=0.01)


def test_expected_best_is_the_mean_over_all_subsets_and_over_all_draws():
    import itertools

    values = [0.3, 0.9, 0.5, 0.5]
    unbiased, biased = budget.expected_best(values), budget.expected_best(values, unbiased=False)
    for size in range(1, 5):
        assert unbiased[size - 1] == pytest.approx(np.mean([max(subset) for subset in itertools.combinations(values, size)]))
        assert biased[size - 1] == pytest.approx(np.mean([max(drawn) for drawn in itertools.product(values, repeat=size)]))
    assert unbiased[-1] == 0.9 > biased[-1]
    spent, best = budget.against_seconds(values, [10, 10, 10, 30])
    assert (spent.tolist(), best.tolist()) == ([15.0, 30.0, 45.0, 60.0], unbiased.tolist())


def sides(correct):
    weights = two_way.leave_out_weights(correct.shape[1])
    return correct.mean(axis=1), weights @ correct.T / weights.sum(axis=1, keepdims=True)


def test_without_noise_of_seeds_the_interval_is_that_over_examples():
    correct = np.tile(np.random.default_rng(0).random(800) < 0.8, (4, 1)).astype(float)
    found = two_way.difference(sides(correct)[0], None, sides(correct)[1], None)
    assert found.by_seeds == 0.0
    assert found.deviation == pytest.approx(correct[0].std(ddof=1) / np.sqrt(800), rel=1e-6)


def test_with_endless_examples_the_interval_is_that_over_seeds():
    levels = np.array([0.70, 0.74, 0.71, 0.77])
    found = two_way.difference(levels, None, np.tile(levels, (500, 1)), None)
    expected = seeds.t_interval(levels)
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high))


def test_noise_of_each_run_on_each_example_is_counted_once():
    """Coins alone: the variance of the mean is that of m x N coins. Estimated a little too large, because no part is taken for less than it
    was measured; counted twice it would be twice that."""
    draw, found = np.random.default_rng(1), []
    for _ in range(300):
        plain, left_out = sides((draw.random((5, 400)) < 0.7).astype(float))
        found.append(two_way.difference(plain, None, left_out, None).deviation ** 2)
    assert 0.21 / 2000 < np.mean(found) < 1.4 * 0.21 / 2000


def test_one_seed_decides_nothing_over_seeds():
    correct = (np.random.default_rng(0).random((2, 500)) < 0.8).astype(float)
    (first, first_out), (second, second_out) = sides(correct[:1]), sides(correct[1:])
    found = two_way.difference(first, second, first_out, second_out)
    assert (found.p, found.interval) == (None, None)
    assert found.over_examples.low < found.value < found.over_examples.high


def test_groups_of_a_file_sorted_by_label_vary_as_much_as_any():
    """Example i and example i + N/2 of another label in one group would hide the noise of the labels' shares."""
    correct = np.r_[np.ones(5000), np.zeros(5000)][None, :]
    found = two_way.difference(*[correct.mean(axis=1), None], sides(correct)[1], None, seedless=True)
    assert found.by_examples == pytest.approx(0.5 / 100, rel=0.1)


@pytest.mark.parametrize(("arms", "count"), [(3, 2), (3, 3), (5, 3), (5, 2)])
def test_the_simulation_computes_what_tables_compute(arms, count):
    correct = World(seed=0.3).runs(np.random.default_rng(0), 12, arms, count, 150, np.zeros(arms))
    found = _found(Tables.of(correct))
    for table, runs in enumerate(correct.astype(float)):
        parts = [sides(each) for each in runs]

        def apart(arm, to, parts=parts):
            return two_way.difference(parts[arm][0], parts[to][0], parts[arm][1], parts[to][1])

        named = corrected.corrected([apart(arm, 0) for arm in range(1, arms)], rows=None)
        assert (min(named) < 0.05) == found["holm found"][table]
        best = int(np.argmax([values.mean() for values, _ in parts]))
        chosen = corrected.corrected([apart(arm, best) for arm in range(arms) if arm != best], rows=arms)
        assert (min(chosen) < 0.05) == found["best found"][table]
        every = Tables.of(correct[table : table + 1])
        of_examples, of_seeds, freedom = (part[0] for part in every.parts(np.array([1]), np.array([0]))[1:])
        shipped = apart(1, 0).parts
        assert (of_examples, of_seeds, freedom) == pytest.approx((shipped.examples, shipped.seeds, shipped.seeds_freedom), rel=1e-9)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("arms", "count"), [(5, 2), (5, 3), (8, 5)])
def test_tables_of_equal_arms_keep_the_level_and_intervals_cover(world, arms, count):
    tables = 600
    found = simulate(WORLDS[world], tables, arms=arms, seeds=count, examples=100)
    # A level of 5 % is seen in more than 7.3 % of 600 tables once in 200 times.
    assert max(found["holm found"], found["best found"], found["one found"]) <= 0.073
    assert min(found["difference covered"], found["arm covered"]) >= 0.925
    assert found["uncorrected found"] > found["best found"]
    assert upper_bound(found["best found"], tables) > found["best found"]


def test_an_interval_over_examples_alone_takes_seeds_for_effects():
    assert simulate(World(seed=0.3), 500, arms=2, seeds=5, examples=400)["examples only"] > 0.4


def test_a_difference_of_four_and_a_half_points_is_found_with_five_seeds():
    world = World()
    gain = world.accuracy(0.25) - world.accuracy()
    assert gain == pytest.approx(0.045, abs=0.001)
    found = simulate(world, 500, arms=2, seeds=5, examples=1000, lift=0.25)
    assert found["one found"] >= 0.8
    assert sign_flips_found(world, 50, seeds=5, examples=200, lift=0.25) == 0.0  # it cannot: 2 / 2^5 is above 5 %


def test_the_interaction_of_seeds_and_examples_is_subtracted_once():
    """The estimated variance of a mean over seeds is the true one, where examples, seeds and their interaction all matter."""
    world = World(difficulty=0.7, noise=1.5, seed=0.2)
    tables = Tables.of(world.runs(np.random.default_rng(0), 6000, 1, 3, 100, np.zeros(1)))
    value, of_examples, of_seeds, _ = tables.parts(np.zeros(6000, dtype=int), None)
    estimated, means = float((of_examples + of_seeds).mean()), value
    assert estimated / float(means.var(ddof=1)) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("side", [0, 1])
def test_a_metric_that_is_undefined_without_some_example_decides_nothing(side):
    """max(0.0, nan) is 0.0: a difference of +0.25 had the interval [0.25, 0.25] and p = 0."""
    values = [np.array([0.75, 0.76]), np.array([0.5, 0.51])]
    left_out = [np.random.default_rng(0).normal(each, 0.001, (50, 2)) for each in values]
    left_out[side][7, 0] = np.nan
    found = two_way.difference(values[0], values[1], left_out[0], left_out[1])
    assert (found.undefined, found.p, found.interval, found.deviation) == (True, None, None, None)
    assert not found.over_examples.excludes(0.0)
    other = two_way.difference(values[0], values[0] - 0.1, left_out[1 - side], left_out[1 - side] - 0.1)
    assert corrected.corrected([found, other], rows=3)[0] is None
    assert corrected.corrected([found, other], rows=None) == [None, other.p]


@pytest.mark.parametrize(("rows", "freedom"), [(3, 2.0), (5, 3.3), (8, 8.0), (8, 299.0)])
def test_the_range_of_equal_rows_is_scipys_studentized_range(rows, freedom):
    for level in (0.2, 0.05, 0.001):
        critical = np.interp(np.log(level), np.log(corrected._LEVELS), corrected.critical_range(rows, freedom))
        assert critical == pytest.approx(stats.studentized_range.ppf(1 - level, rows, freedom), rel=1e-3)
    parts = two_way.Parts(0.0, 2.0, 299, freedom, 5)
    assert corrected.range_p(3.0, parts, rows) == pytest.approx(stats.studentized_range.sf(3.0, rows, freedom), rel=2e-3)


def test_tables_of_few_seeds_state_their_level():
    assert corrected.few_seeds([2, 2]) == corrected.few_seeds([5, 10]) == ""
    assert "7 %" in corrected.few_seeds([3, 5])


def test_rows_that_vary_wildly_over_seeds_are_named():
    assert corrected.uneven_seeds({"a": 0.01, "b": 0.079, "c": None}) is None
    assert "sgd, prompt: varies" in (corrected.uneven_seeds({"sgd": 0.106, "adam": 0.02, "prompt": 0.08}) or "")


def test_two_rows_need_no_correction_and_many_get_bonferroni_over_all_pairs():
    parts = two_way.Parts(1e-4, 2e-4, 299, 3.3, 3)
    p = two_way._p(0.15, parts)
    found = [two_way.Difference(0.15, 0.0, 0.0, 0.0, parts, None, p, seeds.Interval(0, 0))]
    assert corrected.corrected(found, rows=2) == [p]
    assert corrected.corrected(found, rows=12) == [pytest.approx(66 * p)]
    assert p < corrected.corrected(found, rows=5)[0] < 10 * p


def test_the_seeds_needed_are_those_that_simulation_finds_enough():
    draw = np.random.default_rng(0)
    needed = seeds.seeds_needed(1.0, 2 * 0.8**2, 0.1**2)
    assert needed is not None

    def power(count):
        hits = 0
        for _ in range(2000):
            ours, theirs = draw.normal(1.0, 0.8, count), draw.normal(0.0, 0.8, count)
            shared = draw.normal(0, 0.1)
            variance = (ours.var(ddof=1) + theirs.var(ddof=1)) / count
            total = variance + 0.01
            freedom = total**2 / ((ours.var(ddof=1) / count) ** 2 / (count - 1) + (theirs.var(ddof=1) / count) ** 2 / (count - 1))
            hits += 2 * stats.t.sf(abs(ours.mean() - theirs.mean() + shared) / np.sqrt(total), freedom) < 0.05
        return hits / 2000

    assert power(needed) > 0.76
    assert power(needed - 2) < 0.80
    assert seeds.seeds_needed(0.001, 0.0001, 0.01) is None
