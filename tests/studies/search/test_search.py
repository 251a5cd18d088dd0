"""The search engine: ask, report, tell; complete to N; across processes and kills."""

import math
import subprocess
import sys

import pytest

from finecomb.core.errors import ConfigError
from finecomb.studies.search import engine, space
from finecomb.studies.search.engine import Pruner, Search, Settings
from finecomb.studies.search.space import Choice, Quantile, Range

SPACE = {"optimizer.lr": Range(1e-5, 1e-1, log=True), "tuning": Choice(("full", "head")), "tuning.r": Range(1, 8, whole=True)}


def settings(sampler="tpe", mode="max", pruner=Pruner(), searched=SPACE, **more):  # noqa: B008
    return Settings(searched, sampler, "validation/accuracy", mode, pruner=pruner, **more)


def value(trial):
    """Best at a rate of 1e-3 with full."""
    words = dict(word.split("=") for word in trial.setting)
    return -abs(math.log10(float(words["optimizer.lr"])) + 3) - (words["tuning"] == "head")


def run(search, count=None):
    found = []
    while (count is None or len(found) < count) and (trial := search.ask()) is not None:
        search.tell(trial.number, "finished", value(trial))
        found.append(trial)
    return found


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_is_completed_to_n_and_not_by_n_more(tmp_path, sampler):
    assert len(run(Search(settings(sampler), tmp_path, trials=4))) == 4
    again = Search(settings(sampler), tmp_path, trials=6)
    assert [trial.number for trial in run(again)] == [4, 5]
    assert run(Search(settings(sampler), tmp_path, trials=6)) == []
    assert [trial.state for trial in again.answers()] == ["finished"] * 6


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_a_search_that_was_stopped_goes_on_as_it_would_have(tmp_path, sampler):
    searched = SPACE if sampler != "grid" else {"optimizer.lr": Choice((1e-4, 1e-3, 1e-2)), "tuning": Choice(("full", "head"))}
    whole = run(Search(settings(sampler, searched=searched), tmp_path / "a", trials=6))
    first = run(Search(settings(sampler, searched=searched), tmp_path / "b", trials=6), count=3)
    rest = run(Search(settings(sampler, searched=searched), tmp_path / "b", trials=6))
    assert [trial.setting for trial in whole] == [trial.setting for trial in first + rest]


def test_tpe_and_gp_find_what_random_numbers_miss(tmp_path):
    best = {}
    for sampler in ("random", "tpe", "gp"):
        trials = run(Search(settings(sampler, searched={name: SPACE[name] for name in ("optimizer.lr", "tuning")}), None, trials=25))
        best[sampler] = sum(value(trial) for trial in trials[15:])
    assert best["tpe"] > best["random"] + 3
    assert best["gp"] > best["random"] + 3


def test_a_grid_runs_through_every_combination_once(tmp_path):
    searched = {"a": Choice((1, 2)), "b": Range(0, 2, whole=True), "c": Range(0.0, 0.5, step=0.25)}
    search = Search(settings("grid", searched=searched), tmp_path, trials=None)
    found = []
    while (trial := search.ask()) is not None:
        search.tell(trial.number, "finished", 1.0)
        found.append(trial.setting)
    assert len(found) == len(set(found)) == 18
    assert found[:2] == [("a=1", "b=0", "c=0.0"), ("a=1", "b=0", "c=0.25")]
    with pytest.raises(ConfigError, match="a grid needs single values"):
        Search(settings("grid"), tmp_path / "x", trials=None)


def test_the_trial_of_a_killed_command_is_handed_out_again_under_its_number(tmp_path):
    code = f"""
import os, sys
sys.path[:0] = {[__file__.rsplit("/", 1)[0]]!r}
from test_search import *
from pathlib import Path
search = Search(settings(), Path({str(tmp_path)!r}), trials=3)
run(search, 1)
print(search.ask().setting, flush=True)
os.kill(os.getpid(), 9)
"""
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert killed.returncode == -9
    search = Search(settings(), tmp_path, trials=3)
    again = search.ask()
    assert again.number == 1
    assert str(again.setting) == killed.stdout.strip()
    assert search.ask().number == 2
    assert search.ask() is None


def test_two_processes_never_get_the_same_trial(tmp_path):
    first, second = (Search(settings(), tmp_path, trials=5) for _ in range(2))
    numbers = [search.ask().number for search in (first, second, second, first, second)]
    assert sorted(numbers) == [0, 1, 2, 3, 4]
    assert first.ask() is None is second.ask()


def test_another_search_in_the_same_folder_is_refused(tmp_path):
    run(Search(settings(), tmp_path, trials=1))
    with pytest.raises(ConfigError, match=r"another one .*sampler: \"tpe\" -> \"random\""):
        Search(settings("random"), tmp_path, trials=1)


def test_failed_and_pruned_trials_count_and_interrupted_ones_do_not(tmp_path):
    search = Search(settings(), tmp_path, trials=3)
    for state in ("failed", "pruned", "interrupted"):
        search.tell(search.ask().number, state, None)
    assert search.ask() is None
    assert [trial.state for trial in search.answers()] == ["failed", "pruned", "running"]


@pytest.mark.parametrize("mode", ["max", "min"])
def test_median_pruning_stops_what_lags_behind(mode):
    sign = 1 if mode == "max" else -1
    search = Search(settings(mode=mode, pruner=Pruner("median", first=2, startup=2)), None, trials=4)
    for level in (0.8, 0.9):
        trial = search.ask()
        assert not any(search.report(trial.number, step, sign * level) for step in (1, 2, 3))
        search.tell(trial.number, "finished", sign * level)
    slow, fast = search.ask(), search.ask()
    assert [search.report(slow.number, step, sign * 0.5) for step in (1, 2)] == [False, True]
    assert not any(search.report(fast.number, step, sign * 0.95) for step in (1, 2, 3))


def test_wandbs_hyperband_compares_at_its_bands_alone():
    search = Search(settings(pruner=Pruner("bands", eta=2, bands=(2, 4))), None, trials=4)
    trials = [search.ask() for _ in range(4)]
    for trial, level in zip(trials[:3], (0.9, 0.8, 0.7), strict=True):
        assert not search.report(trial.number, 1, level)
    told = [search.report(trial.number, 2, level) for trial, level in zip(trials[:3], (0.9, 0.8, 0.7), strict=True)]
    assert told == [False, False, True]  # the best half of three: index int(3 / 2) of those at the band
    assert not search.report(trials[3].number, 1, 0.1)
    assert search.report(trials[3].number, 2, 0.1)


@pytest.mark.parametrize("asked_before", [0, 3])
def test_earlier_answers_count_beside_the_trials_asked_for_on_resume_too(tmp_path, asked_before):
    earlier = [{"optimizer.lr": 10.0**-n, "tuning": "full", "tuning.r": n} for n in range(1, 5)]

    def search():
        found = Search(settings(), tmp_path, trials=10)
        assert [found.add(values, 0.5) for values in earlier] == [True] * 4
        return found

    first = run(search(), asked_before)
    assert len(first) + len(run(search())) == 10
    assert run(search()) == []
    assert len(search().answers()) == 14


def test_a_trial_of_the_search_itself_is_no_earlier_answer(tmp_path):
    [trial] = run(Search(settings(), tmp_path, trials=1))
    words = dict(word.split("=") for word in trial.setting)
    own = {"optimizer.lr": float(words["optimizer.lr"]), "tuning": words["tuning"], "tuning.r": int(words["tuning.r"])}
    search = Search(settings(), tmp_path, trials=1)
    assert not search.add(own, 0.5)
    assert len(search.answers()) == 1


def test_a_grid_does_not_ask_for_what_was_answered_earlier(tmp_path):
    searched = {"optimizer.lr": Choice((1e-4, 1e-3, 1e-2)), "tuning": Choice(("full", "head"))}
    search = Search(settings("grid", searched=searched), tmp_path, trials=None)
    assert search.add({"optimizer.lr": 1e-3, "tuning": "head"}, 0.5)
    assert len(run(search)) == 5


@pytest.mark.parametrize(
    ("dimension", "values", "inside"),
    [(Range(1, 8, whole=True), [1, 8, 3.0], [True] * 3), (Range(1, 8, whole=True), [2.5, 9], [False] * 2),
     (Range(0.0, 0.5, step=0.1), [0.3, 0.5, 0.25], [True, True, False]), (Range(1e-5, 1e-1, log=True), [2e-3, 1.0], [True, False])],
)  # fmt: skip
def test_a_value_between_the_steps_is_not_in_the_space(dimension, values, inside):
    assert [space.params_of({"a": dimension}, {"a": each}) is not None for each in values] == inside


def test_an_earlier_answer_counts_beside_the_trials_asked_for():
    search = Search(settings(), None, trials=2)
    assert search.add({"optimizer.lr": 1e-3, "tuning": "full", "tuning.r": 4, "seed": 0}, 0.9)
    assert search.add({"optimizer.lr": 1e-3, "tuning": "full", "tuning.r": 4}, 0.9)  # known, and counted once
    assert not search.add({"optimizer.lr": 1.0, "tuning": "full", "tuning.r": 4}, 0.9)  # beyond the range
    assert not search.add({"optimizer.lr": 1e-3, "tuning": "lora", "tuning.r": 4}, 0.9)  # no such choice
    assert len(run_any(search)) == 2


def run_any(search):
    found = []
    while (trial := search.ask()) is not None:
        search.tell(trial.number, "finished", 0.5)
        found.append(trial)
    return found


@pytest.mark.parametrize(
    ("quantile", "middle"),
    [
        (Quantile("normal", 3.0, 2.0), 3.0),
        (Quantile("log_normal", 0.0, 1.0), 1.0),
        (Quantile("beta", 2.0, 2.0), 0.5),
        (Quantile("normal", 3.2, 2.0, step=0.5), 3.0),
        (Quantile("categorical", values=("a", "b"), shares=(0.3, 0.7)), "b"),
    ],
)
def test_other_distributions_are_drawn_by_their_quantiles(quantile, middle):
    assert quantile.value(0.5) == middle


def test_the_light_path_imports_no_optuna():
    modules = "finecomb.cli, finecomb.studies.search.engine, finecomb.studies.search.run"
    code = f"import sys, {modules}; sys.exit('optuna' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_range_must_make_sense():
    assert space.checked("lr", 1e-5, 1e-3, log=True, where="here") == Range(1e-5, 1e-3, log=True)
    with pytest.raises(ConfigError, match="is no range"):
        space.checked("lr", 1.0, 0.1, log=False, where="here")
    with pytest.raises(ConfigError, match="bounds above 0"):
        space.checked("lr", 0.0, 0.1, log=True, where="here")
    assert set(engine.PRUNERS) >= {"none", "median", "hyperband"}
