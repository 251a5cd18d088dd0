"""Reading study.yaml: arms, blocks, seeds, budgets, and every mistake at once."""

from pathlib import Path

import pytest

from finecomb.config.overrides import override
from finecomb.core.errors import ConfigError
from finecomb.studies.plan import study_plan as plan
from finecomb.studies.plan.study_plan import Job
from finecomb.studies.search import tune
from finecomb.studies.search.space import Choice

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(path.parent.name for path in (ROOT / "experiments").glob("*/study.yaml"))


@pytest.fixture
def study(tmp_path):
    def write(text, *extra):
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return plan.read(path, extra)

    return write


def arms(found):
    return {arm.name: list(arm.overrides) for arm in found.arms}


def test_overrides_are_text_lists_or_mappings(study):
    found = study(
        """
base: {dataset.limit.train: 640, optimizer.lr: 1e-4}
arms:
  full: tuning=full
  small: [tuning=lora, tuning.r=2]
  large: {tuning: lora, tuning.r: 64, name: "1e3"}
seeds: 3
""",
        "logger=none",
    )
    assert found.base == ("dataset.limit.train=640", "optimizer.lr=0.0001", "logger=none")
    assert arms(found) == {
        "full": ["tuning=full"],
        "small": ["tuning=lora", "tuning.r=2"],
        "large": ["tuning=lora", "tuning.r=64", "name='1e3'"],
    }
    assert found.arms[0].seeds == (0, 1, 2)
    assert found.columns[0].name == ""


def test_a_grid_is_every_combination_and_a_zip_value_with_value(study):
    found = study(
        """
grid: [{tuning: [full, head], dataset.limit.train: [80, 160]}]
zip: [{tuning.r: [1, 4], tuning.lora_alpha: [2, 8]}]
seeds: [1]
"""
    )
    assert arms(found) == {
        "full train=80": ["tuning=full", "dataset.limit.train=80"],
        "full train=160": ["tuning=full", "dataset.limit.train=160"],
        "head train=80": ["tuning=head", "dataset.limit.train=80"],
        "head train=160": ["tuning=head", "dataset.limit.train=160"],
        "r=1 lora_alpha=2": ["tuning.r=1", "tuning.lora_alpha=2"],
        "r=4 lora_alpha=8": ["tuning.r=4", "tuning.lora_alpha=8"],
    }


def test_the_three_ablations(study):
    found = study(
        """
ablate:
  - from: [tuning=lora, tuning.r=4]
    name: lora
    one_factor: {tuning.r: [1, 4, 16], tuning.lora_alpha: [8]}
  - from: tuning=full
    name: full
    leave_one_out: {warmup: scheduler.warmup=0.1, clip: trainer.gradient_clip_val=1.0}
    ladder: {warmup: scheduler.warmup=0.1, clip: trainer.gradient_clip_val=1.0}
seeds: [1]
"""
    )
    both = ["scheduler.warmup=0.1", "trainer.gradient_clip_val=1.0"]
    assert arms(found) == {
        "lora": ["tuning=lora", "tuning.r=4"],
        "lora, r=1": ["tuning=lora", "tuning.r=4", "tuning.r=1"],
        "lora, r=16": ["tuning=lora", "tuning.r=4", "tuning.r=16"],
        "lora, lora_alpha=8": ["tuning=lora", "tuning.r=4", "tuning.lora_alpha=8"],
        "full, all": ["tuning=full", *both],
        "full, without warmup": ["tuning=full", both[1]],
        "full, without clip": ["tuning=full", both[0]],
        "full": ["tuning=full"],
        "full + warmup": ["tuning=full", both[0]],
        "full + warmup + clip": ["tuning=full", *both],
    }


def test_an_arm_named_by_two_blocks_is_one_and_two_arms_of_one_name_are_refused(study):
    same = "arms: {full: tuning=full}\ngrid: [{tuning: [full, head]}]\nseeds: [1]\n"
    assert list(arms(study(same))) == ["full", "head"]
    with pytest.raises(ConfigError, match="two different arms are called full"):
        study("arms: {full: tuning=head}\ngrid: [{tuning: [full]}]\nseeds: [1]\n")


def test_an_arm_may_have_seeds_of_its_own(study):
    found = study("arms:\n  once: {overrides: [], seeds: [1, 2]}\n  again: {overrides: tuning=full, seeds: [3]}\n")
    assert [arm.seeds for arm in found.arms] == [(1, 2), (3,)]


def test_every_mistake_is_told_at_once_with_its_line(study):
    with pytest.raises(ConfigError) as raised:
        study(
            """name: broken
arms: {full: tuning=full, head: tuning=head}
seed: [1]
seeds: [1, 1]
baseline: ful
references: [majorty, {name: a paper, scores: {sst2: 94.8}}]
tune: {trials: 0, search: gird, spaces: {lora: {optimizer.lr: auto}}}
"""
        )
    told = [(problem.what, problem.where.split(" (")[0].rsplit("/", 1)[1], problem.hint) for problem in raised.value.problems]
    assert ("there is no key seed", "study.yaml, line 3", "did you mean seeds?") in told
    assert ("a seed is named twice", "study.yaml, line 4", "a run repeated is no second run") in told
    assert ("no arm is called ful", "study.yaml, line 5", "did you mean full?") in told
    assert ("no reference is called majorty", "study.yaml, line 6", "did you mean majority?") in told
    assert ("a paper has no source", "study.yaml, line 6", "a published number must be traceable") in told
    assert ("sst2 is no column of this study", "study.yaml, line 6", "") in told
    assert ("0 is no number of trials", "study.yaml, line 7", "") in told
    assert ("there is no search gird", "study.yaml, line 7", "did you mean grid?") in told
    assert ("lora is no arm of this study", "study.yaml, line 7", "") in told
    assert ("nothing is searched for the arm full", "study.yaml, line 7", "tune: space: {optimizer.lr: auto}") in told


def test_a_broken_file_is_told_by_its_line(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("arms: {full: a}\narms: {head: b}\n")
    with pytest.raises(ConfigError, match="the key arms is given twice"):
        plan.read(path)
    path.write_text("arms: [")
    with pytest.raises(ConfigError, match="it cannot be read"):
        plan.read(path)


def test_what_is_chosen_on_a_seed_is_not_reported_on_it(study):
    with pytest.raises(ConfigError, match="confirmed on the seed 0, on which its setting is chosen"):
        study("arms: {full: tuning=full}\nseeds: 2\ntune: {trials: 2, space: {optimizer.lr: auto}}\n")


TUNED = """
arms: {full: tuning=full, lora: tuning=lora}
seeds: [1, 2]
tune: {trials: 4, space: {optimizer.lr: auto}}
"""


def test_auto_is_the_methods_range_in_equal_steps_of_the_logarithm(study):
    found = study(TUNED)
    spaces = tune.spaces(found)
    grid = [tune.settings(found, ("full", ""), spaces["full", ""], number) for number in range(5)]
    assert grid == [("optimizer.lr=1e-05",), ("optimizer.lr=3.1e-05",), ("optimizer.lr=9.7e-05",), ("optimizer.lr=0.0003",), None]
    assert tune.settings(found, ("lora", ""), spaces["lora", ""], 0) == ("optimizer.lr=0.0001",)


def test_unequal_budgets_are_refused(study):
    found = study(
        TUNED.replace(
            "{trials: 4, space: {optimizer.lr: auto}}",
            "{trials: 3, spaces: {full: {optimizer.lr: [1e-5, 1e-4]}, lora: {optimizer.lr: auto}}}",
        )
    )
    with pytest.raises(ConfigError, match="the grid of the arm full has 2 settings, and every arm gets 3 trials"):
        tune.spaces(found)


def test_random_settings_are_the_same_for_arms_that_share_a_space_and_differ_by_trial(study):
    found = study(TUNED.replace("trials: 4", "seconds: 60, search: random").replace("auto", "{low: 1e-5, high: 1e-3, log: true}"))
    spaces = tune.spaces(found)
    drawn = [tune.settings(found, (arm, ""), spaces[arm, ""], number) for arm in ("full", "lora") for number in range(20)]
    assert drawn[:20] == drawn[20:]
    values = [float(setting[0].split("=")[1]) for setting in drawn[:20]]
    assert len(set(values)) == 20
    assert all(1e-5 <= value <= 1e-3 for value in values)
    assert sum(value < 1e-4 for value in values) in range(4, 17)


def test_a_search_that_learns_asks_round_by_round_and_repeats_itself(study, monkeypatch):
    """The answers of the first rounds decide what is asked next; asked again with the same answers, the same settings come."""
    from finecomb.studies.plan import study as studies

    found = study(TUNED.replace("trials: 4,", "trials: 6, search: tpe,").replace("auto", "{low: 1e-5, high: 1e-1, log: true}"))
    asked = []

    class Told(studies.Runner):
        def _launch(self, jobs):
            asked.append([job.chosen for job in jobs])
            self.answers += [studies.Answer(job, None, "finished") for job in jobs]

    monkeypatch.setattr(studies.Answer, "metric", lambda self, name: -abs(float(self.job.chosen[0].split("=")[1]) - 1e-3))
    for _ in range(2):
        runner = Told(found)
        runner._asked_trials({"": "accuracy"})
        assert [(answer.job.arm, answer.job.trial) for answer in runner.answers][:4] == [("full", 0), ("lora", 0), ("full", 1), ("lora", 1)]
    assert asked[:6] == asked[6:]
    assert len({setting for jobs in asked for setting in jobs}) > 5


def trial(arm, number, setting):
    return Job(arm, "", "trial", 0, (), number, (setting,))


def test_the_best_trial_on_validation_is_chosen_and_the_earlier_of_equals():
    trials = [
        (trial("full", 1, "b"), 0.8),
        (trial("full", 0, "a"), 0.8),
        (trial("full", 2, "c"), None),
        (trial("head", 0, "a"), float("nan")),
    ]
    assert tune.choose(trials, lower_is_better=False) == {("full", ""): ("a",)}
    assert tune.choose([(trial("full", 0, "a"), 0.8), (trial("full", 1, "b"), 0.7)], lower_is_better=True) == {("full", ""): ("b",)}


def test_a_choice_at_the_edge_is_noticed():
    space = {"optimizer.lr": Choice((1e-5, 1e-4, 1e-3))}
    tried = [(f"optimizer.lr={value!r}",) for value in space["optimizer.lr"].values]
    assert tune.at_the_edge(space, tried, tried[2]) == ["optimizer.lr=0.001"]
    assert tune.at_the_edge(space, tried, tried[1]) == []


def test_confirm_jobs_leave_out_cells_without_a_choice(study):
    found = study(TUNED)
    jobs = plan.confirm_jobs(found, {("full", ""): ("optimizer.lr=0.001",)})
    assert [(job.arm, job.seed, job.overrides) for job in jobs] == [
        ("full", seed, ("tuning=full", "optimizer.lr=0.001", f"seed={seed}")) for seed in (1, 2)
    ]


def test_a_study_is_found_by_name_or_path_and_else_the_nearest_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert plan.locate("losses") == Path("experiments/losses/study.yaml")
    assert plan.locate("experiments/losses") == Path("experiments/losses/study.yaml")
    with pytest.raises(ConfigError, match=r"there is no study tuning_method") as raised:
        plan.locate("tuning_method")
    assert raised.value.problems[0].hint == "did you mean tuning_methods?"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (3e-4, "0.0003"),
        ("full", "full"),
        ("0.5", "'0.5'"),
        ("a,b", "'a,b'"),
        ("it's", r"'it\'s'"),
        ([1, "x"], "[1,x]"),
        ("true", "'true'"),
        ("", "''"),
    ],
)
def test_a_value_comes_back_from_hydra_as_it_went(value, text):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    written = override("key", value)
    assert written == f"key={text}"
    (read,) = OverridesParser.create().parse_overrides([written])
    assert read.value() == value


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_study_composes(name):
    from finecomb.studies.plan import study

    found = plan.read(ROOT / "experiments" / name / "study.yaml")
    study.check(found)
    metrics = study.column_metrics(found)
    assert set(metrics) == {column.name for column in found.columns}
    assert found.question


@pytest.mark.parametrize("name", ["lora_table2", "bitfit_glue", "houlsby_top_k", "mosbach_stability"])
def test_a_papers_study_dry_runs_without_a_hub(name, tmp_path, monkeypatch):
    from finecomb.studies.plan.dry_run import dry_run

    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    printed = str(dry_run(plan.read(ROOT / "experiments" / name / "study.yaml")))
    assert "not known: cannot fetch" in printed
    assert " 0 finished" in printed
    assert list(tmp_path.rglob("config.yaml")) == []
