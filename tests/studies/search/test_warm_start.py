"""Which finished runs count as answers of a search: those that one of its trials would be."""

import pytest

from finecomb.config.compose import Composer
from finecomb.core import atomic
from finecomb.launch.freeze import freeze
from finecomb.studies.search.engine import Search, Settings
from finecomb.studies.search.run import _warm
from finecomb.studies.search.space import Choice, Range

METRIC = "validation/accuracy"
LR = {"optimizer.lr": Range(1e-5, 1e-1, log=True)}
TUNING = {"tuning": Choice(("full", "lora"))}


@pytest.fixture
def warm(job, job_settings):
    """The settings with which a finished run counts as an answer, given its own overrides."""

    def answers(space, *overrides, fixed=()):
        run = freeze(job(*overrides)).run
        atomic.write_json(run.path / "result.json", {"metrics": {METRIC: 0.5}})
        search = Search(Settings(space, "random", METRIC, "max", fixed=(*job_settings, *fixed, "evaluate.test=false")), None, trials=2)
        counted = _warm(search, [str(run.path)], Composer())
        assert counted == len(search.answers())
        return [" ".join(each.setting) for each in search.answers()]

    return answers


def test_a_run_of_the_same_settings_counts_with_its_searched_values(warm):
    assert warm(LR, "optimizer.lr=0.00123456") == ["optimizer.lr=0.001235"]
    assert warm(TUNING, "tuning=lora") == ["tuning=lora"]
    assert warm({**TUNING, "tuning.r": Range(1, 8, whole=True)}, "tuning=lora", "tuning.r=4") == ["tuning=lora tuning.r=4"]
    assert warm(LR, "optimizer.lr=0.002", "output_dir=elsewhere", "trainer.threads=1", "evaluate.test=true") == ["optimizer.lr=0.002"]


@pytest.mark.parametrize(
    ("space", "other"),
    [
        (LR, ["optimizer.lr=0.002", "seed=1"]),
        (LR, ["optimizer.lr=0.002", "batch.size=4"]),
        (LR, ["optimizer.lr=0.002", "tuning=lora"]),
        (LR, ["optimizer.lr=0.5"]),
        (TUNING, ["tuning=lora", "optimizer.lr=0.00777"]),
        (TUNING, ["tuning=lora", "tuning.r=3"]),
        (TUNING, ["tuning=head"]),
    ],
)
def test_a_run_of_other_settings_or_outside_the_space_does_not(warm, space, other):
    assert warm(space, *other) == []


def test_a_rate_that_follows_from_the_searched_method_is_no_other_setting(warm):
    assert warm(TUNING, "tuning=lora", "optimizer.lr=auto") == ["tuning=lora"]


def test_a_run_on_other_data_does_not(warm, tmp_path, monkeypatch):
    assert warm(LR, "optimizer.lr=0.002") != []
    (tmp_path / "other.tsv").write_text((tmp_path / "train.tsv").read_text() + "one more\ta\n")
    assert warm(LR, "optimizer.lr=0.002", "dataset.files.train=other.tsv") == []
