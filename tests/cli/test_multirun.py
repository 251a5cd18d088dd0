"""A real multirun, once: its runs, its sweep record, its offline W&B folders, and what asking again does."""

import json
import random

import pytest

from finecomb import cli
from finecomb.config.plain import flatten
from finecomb.runs import index, wandb_folder
from finecomb.runs.directory import RunDirectory

WORDS = ["fine", "dull", "plot", "cast", "long", "short", "again"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Two jobs: one process with `full`, and two processes (DDP) with `lora`."""
    folder = tmp_path_factory.mktemp("multirun")
    draw = random.Random(0)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(2, 12))) for _ in range(120)]
    (folder / "train.tsv").write_text("text\tlabel\n" + "".join(f"{text} {row}\t{'fine' in text}\n" for row, text in enumerate(texts)))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_SWEEP_ID", "WANDB_BASE_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("NETRC", str(folder / "no-netrc"))
        patch.setenv("FINECOMB_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        arguments = [
            "train", "-m", "tuning=full,lora", "trainer=ddp", "trainer.accelerator=cpu", "dataset=files", "dataset.files.train=train.tsv",
            "model=tiny", "trainer.max_epochs=1", "trainer.precision=32-true", "trainer.threads=1", "batch.size=10", "seed=3",
        ]  # fmt: skip
        yield folder, arguments, cli.main(arguments)


def made(folder) -> dict[str, RunDirectory]:
    return {each.choices["tuning"]: RunDirectory(each.path) for each in index.entries(folder / "runs")}


def test_every_job_becomes_one_finished_run(sweep):
    folder, _, code = sweep
    assert code == 0
    assert {name: run.state() for name, run in made(folder).items()} == {"full": "finished", "lora": "finished"}
    assert sorted(path.name for path in folder.iterdir()) == ["cache", "runs", "train.tsv"]  # Hydra left nothing


def test_the_ranks_of_a_job_share_its_directory_and_its_own_values(sweep):
    folder, *_ = sweep
    for name, run in made(folder).items():
        assert sorted(path.name for path in run.logs.iterdir()) == ["rank0.log", "rank1.log"]
        assert run.result()["training"]["world_size"] == 2
        assert run.result()["config"]["tuning"]["name"] == name
        assert run.status().attempt == 1


def test_the_sweeps_record_names_its_runs_in_the_order_of_the_jobs(sweep):
    folder, *_ = sweep
    record = json.loads((folder / "runs" / "sweeps" / "latest.json").read_text())
    assert record["runs"] == [made(folder)[name].path.name for name in ("full", "lora")]
    assert [job["overrides"][0] for job in record["jobs"]] == ["tuning=full", "tuning=lora"]
    (group,) = {run.record.group for run in made(folder).values()}
    assert group.startswith("files-tiny-")


def test_wandb_has_one_run_for_each_job_with_group_job_type_config_metrics_and_exit_code(sweep):
    folder, *_ = sweep
    mirrored = {run.job_type: run for run in wandb_folder.runs(folder / "runs")}
    assert sorted(mirrored) == ["full", "lora"]
    assert len(wandb_folder.runs(folder / "runs")) == 2
    for name, run in made(folder).items():
        found = mirrored[name]
        assert found.id.startswith(run.fingerprint)
        assert (found.project, found.group, found.exit_code) == ("finecomb", run.record.group, 0)
        assert {"tuning=" + name, "model=tiny"} <= set(found.tags)
        assert {key: found.config[key] for key in flatten(run.config)} == flatten(run.config)
        assert not any(isinstance(value, dict) and value for value in found.config.values())
        losses = [(line["trainer/global_step"], line["train/loss"]) for line in found.history if "train/loss" in line]
        assert losses == [(line["step"], pytest.approx(line["train/loss"])) for line in run.metrics() if "train/loss" in line]
        last = {key: value for line in found.history for key, value in line.items()}
        for key, value in run.result()["metrics"].items():
            assert value is None or last[key] == pytest.approx(value), key


def test_wandb_gets_the_table_of_errors_and_the_confusion_matrix_of_the_record(sweep):
    folder, *_ = sweep
    run = made(folder)["full"]
    tables = {
        path.name.split("_")[0]: json.loads(path.read_text()) for path in run.path.glob("wandb/offline-run-*/files/media/table/test/*")
    }
    confusion = json.loads((run.predictions / "test-confusion.json").read_text())
    assert [row[2] for row in tables["confusion"]["data"]] == [count for row in confusion["counts"] for count in row]
    errors = (run.predictions / "test-errors.csv").read_text().splitlines()
    assert tables["errors"]["columns"] == errors[0].split(",") == ["id", "text", "label", "prediction", "loss"]
    wrong = confusion["counts"][0][1] + confusion["counts"][1][0]
    assert len(tables["errors"]["data"]) == len(errors) - 1 == min(wrong, 50)


def test_asked_again_in_another_order_nothing_is_trained(sweep, capsys):
    folder, arguments, _ = sweep
    before = {name: run.status() for name, run in made(folder).items()}
    again = ["train", "-m", "tuning=lora,full", *arguments[3:]]
    assert cli.main(again) == 0
    printed = capsys.readouterr().out
    assert "nothing was trained" in printed
    assert {name: run.status() for name, run in made(folder).items()} == before
    record = json.loads((folder / "runs" / "sweeps" / "latest.json").read_text())
    assert printed.splitlines()[-1] == f"runs/sweeps/{record['id']}.json"
    assert len(list((folder / "runs" / "sweeps").glob("tuning-*.json"))) == 1


def test_the_mistakes_of_all_jobs_are_told_before_any_is_started(sweep, capsys):
    folder, arguments, _ = sweep
    before = sorted((folder / "runs").iterdir())
    assert cli.main([*arguments[:2], "tuning=full,lroa", *arguments[3:], "optimizer.lr=-1,2", "output_dir=elsewhere"]) == 2
    told = capsys.readouterr().err
    assert "lroa" in told
    assert "optimizer.lr=-1" in told
    assert sorted((folder / "runs").iterdir()) == before
    assert not (folder / "elsewhere").exists()


def test_a_mistake_found_in_the_data_starts_no_job_and_leaves_no_run_directory(sweep, capsys):
    folder, arguments, _ = sweep
    swept = ["train", "-m", "batch.size=10,1000", "tuning=full", *arguments[3:-2], "output_dir=elsewhere"]
    assert cli.main(swept) == 2
    assert "batch.size=1000 is larger than the training data" in " ".join(capsys.readouterr().err.split())
    assert not (folder / "elsewhere").exists()
