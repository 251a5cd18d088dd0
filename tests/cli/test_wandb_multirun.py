"""Two methods and three seeds, then a fourth seed, as W&B shows them: decoded from its offline folders."""

import pytest

from finecomb import cli
from finecomb.runs import index, wandb_folder
from finecomb.runs.directory import RunDirectory

COSTS = ("parameters/trainable", "parameters/stored_bytes", "time/train_s", "memory/peak_bytes", "tokens/real_per_s", "counts/rows/train")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("wandb_multirun")
    rows = [f"{'good' if row % 2 else 'bad'} film {row}\t{row % 2}\n" for row in range(30)]
    (made / "train.tsv").write_text("text\tlabel\n" + "".join(rows))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_SWEEP_ID", "WANDB_BASE_URL", "WANDB_DATA_DIR"):
            patch.delenv(name, raising=False)
        patch.setenv("NETRC", str(made / "no-netrc"))
        patch.setenv("FINECOMB_CACHE", str(made / "cache"))
        patch.chdir(made)
        yield made


def train(*words):
    usual = ["dataset=files", "dataset.files.train=train.tsv", "model=tiny", "batch.size=8", "trainer.max_epochs=1"]
    return cli.main(["train", "-m", *words, *usual, "trainer.threads=1", "trainer.precision=32-true", "hydra.launcher.slots=2"])


@pytest.mark.slow
def test_two_methods_over_seeds_are_one_group_with_costs_also_when_a_seed_is_added_and_without_a_logger_at_first(folder, capsys):
    assert train("tuning=head,lora", "seed=0,1", "logger=none") == 0
    assert wandb_folder.runs(folder / "runs") == []
    assert train("tuning=head,lora", "seed=0,1,2") == 0
    assert "4 finished runs are mirrored to wandb from their records" in capsys.readouterr().err
    first = wandb_folder.runs(folder / "runs")
    assert sorted((run.job_type, run.config["seed"], run.exit_code) for run in first) == [
        (method, seed, 0) for method in ("head", "lora") for seed in (0, 1, 2)
    ]
    assert train("tuning=head,lora", "seed=3") == 0
    found = wandb_folder.runs(folder / "runs")
    assert len(found) == 8
    (group,) = {run.group for run in found}
    assert group.startswith("files-tiny-")
    results = {each.path.name[-12:]: RunDirectory(each.path).result() for each in index.entries(folder / "runs")}
    for run in found:
        result = results[run.id.split("-")[0]]
        for name in COSTS:
            part, *keys = name.split("/")
            value = result[part]
            for key in keys:
                value = value[key]
            assert run.summary[name] == value, name
        assert run.last()["test/accuracy"] == pytest.approx(result["metrics"]["test/accuracy"])
        assert [line for line in run.history if "train/loss" in line]
        assert "test/confusion" in {name.removesuffix("._type") for name in run.last()} | set(run.last())
    assert train("tuning=head,lora", "seed=0,1") == 0
    assert len(wandb_folder.runs(folder / "runs")) == 8
