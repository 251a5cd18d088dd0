"""What is explicitly requested of W&B and cannot be met is an error before training; what was not requested stays quiet."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from finecomb import cli
from finecomb.config.compose import compose
from finecomb.core.errors import ConfigError
from finecomb.runs import wandb_account

KEY = "k" * 40


class Server:
    """W&B's public API, with one user in one team, who may write to their own projects and to those of the team."""

    def __init__(self, *, down=False):
        self.down, self.asked, self.made = down, 0, []

    @property
    def viewer(self):
        self.asked += 1
        if self.down:
            raise RuntimeError(f"401 for {KEY}")
        return SimpleNamespace(username="me", entity="me", teams=["team"])

    def project(self, name, entity):
        if (entity, name) not in (("me", "old"), ("other", "public")):
            raise ValueError(f"Project {name} not found")
        return SimpleNamespace(id="1")

    def create_project(self, name, entity):
        if entity not in ("me", "team"):
            raise RuntimeError("permission denied")
        self.made.append((entity, name))


@pytest.fixture
def server(tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setattr(wandb_account, "_answers", {})
    made = Server()
    monkeypatch.setattr(wandb_account, "_api", lambda: nullcontext(made))
    return made


def check(*overrides, **environment):
    composition = compose([*overrides])
    wandb_account.check(composition.config.logger, composition.origins, {"NETRC": "/none", **environment})


def refused(*overrides, **environment):
    with pytest.raises(ConfigError) as raised:
        check(*overrides, **environment)
    (problem,) = raised.value.problems
    return problem


def test_train_that_is_to_be_online_without_a_key_exits_with_2_before_anything_is_made(server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + "".join(f"text {row}\t{row % 2}\n" for row in range(40)))
    words = ["dataset=files", "dataset.files.train=train.tsv", "model=tiny", "batch.size=8", "logger.mode=online"]
    for command in (["train"], ["train", "-m", "seed=0,1"], ["prepare", "--wandb"], ["train", "-m", "hydra/sweeper=optuna", "seed=0,1"]):
        assert cli.main([*command, *words]) == 2
        told = " ".join(capsys.readouterr().err.split())
        for way in ("command line: logger.mode=online", "wandb login", "WANDB_API_KEY", "logger.mode=offline"):
            assert way in told, (command, way)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train.tsv"]
    assert server.asked == 0


def test_online_by_the_environment_is_as_explicit(server):
    assert refused(WANDB_MODE="online").where == "WANDB_MODE=online"


def test_a_key_that_the_server_does_not_take_is_an_error_that_does_not_show_it(server):
    server.down = True
    problem = refused("logger.mode=online", WANDB_API_KEY=KEY)
    assert "401 for ***" in problem.what
    assert KEY not in str(problem)


def test_without_an_explicit_request_the_server_is_not_asked(server):
    check()
    check(WANDB_API_KEY=KEY)
    check("logger.mode=offline", "logger.entity=other", WANDB_API_KEY=KEY)
    check("logger.entity=other")
    assert server.asked == 0


@pytest.mark.parametrize("mode", ["auto", "online"])
def test_an_entity_or_project_that_wandb_refuses_is_an_error(server, mode):
    for words in (["logger.entity=other", "logger.project=mine"], ["logger.entity=other", "logger.project=public"]):
        problem = refused(f"logger.mode={mode}", *words, WANDB_API_KEY=KEY)
        assert "permission denied" in problem.what
        assert problem.where == "command line: logger.entity=other"
    assert server.made == []


def test_a_place_that_wandb_takes_is_asked_for_once(server):
    for _ in range(2):
        check("logger.mode=online", "logger.entity=team", "logger.project=new", WANDB_API_KEY=KEY)
    check("logger.project=old", WANDB_API_KEY=KEY)
    assert server.asked == 2
    assert server.made == [("team", "new")]


def test_a_server_out_of_reach_is_no_refusal_where_being_online_was_not_requested(server):
    server.down = True
    check("logger.entity=team", WANDB_API_KEY=KEY)


@pytest.mark.parametrize("name", ["a/b", "what?", "x" * 129])
def test_a_project_name_that_wandb_never_takes_is_an_error_offline_too(server, name):
    wandb = pytest.importorskip("wandb")
    with pytest.raises(wandb.errors.UsageError):
        wandb.Settings(project=name)
    assert name in refused(f"logger.project='{name}'", "logger.mode=offline").what


@pytest.mark.parametrize("host", ["api.wandb.ai", "api.forge.coreweave.com"])
def test_a_login_to_the_cloud_counts_under_both_of_its_names(tmp_path, host):
    (tmp_path / "netrc").write_text(f"machine {host} login user password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    assert wandb_account.has_account({"NETRC": str(tmp_path / "netrc")})
