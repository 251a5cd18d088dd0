"""explain and doctor tell the truth in plain text."""

import io

import pytest
from rich.console import Console

from finecomb.config import doctor
from finecomb.config.compose import compose
from finecomb.config.estimate import estimate
from finecomb.config.explain import show
from finecomb.config.machine import Machine
from finecomb.config.resolve import resolve

LAPTOP = Machine(cores=2, gpus=0, bf16=True)


def explained(*overrides):
    stream = io.StringIO()
    sound = show(compose(list(overrides)), Console(file=stream, highlight=False), LAPTOP)
    return sound, stream.getvalue()


def test_each_value_is_shown_with_its_origin_and_what_auto_stands_for():
    sound, text = explained("tuning=lora", "tuning.r=4")
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert sound
    assert lines["tuning.r"][1:] == ["4", "command", "line:", "tuning.r=4"]
    assert lines["optimizer.lr"][1:4] == ["auto", "->", "0.001"]
    assert lines["optimizer.lr"][4].startswith("conf/optimizer/_base.yaml:")
    assert "problems: none" in text
    assert "runs/movie_reviews-lora-r4-FINGERPRINT" in text


def test_problems_are_part_of_the_explanation():
    sound, text = explained("loss=huber")
    assert not sound
    assert "loss=huber cannot serve task=sequence_classification" in text


def test_what_this_machine_lacks_is_said_and_the_rest_explained():
    sound, text = explained("trainer=gpu", "model=bert_base", "tuning=lora")
    assert sound
    assert "none is visible" in text
    assert "109,778,690 total, 296,450 trainable" in text


def test_a_model_that_is_not_known_has_no_invented_numbers():
    assert "not known before the weights" in explained("model.name_or_path=somewhere")[1]
    assert "not known before the weights" in explained("model=tiny_bert")[1]


def test_estimates_follow_what_drives_them():
    def of(*overrides):
        return estimate(resolve(compose(list(overrides)).config, machine=LAPTOP), LAPTOP)

    full, head, lora, top = (of(f"tuning={name}") for name in ("full", "head", "lora", "top_layers"))
    assert full.parameters.total == 22_713_216 + 2 * 384 + 2
    assert head.parameters.trainable == 2 * 384 + 2
    assert full.memory > lora.memory > head.memory
    assert full.seconds > lora.seconds > head.seconds
    assert full.seconds > top.seconds > head.seconds
    assert of("trainer.max_epochs=6").seconds == pytest.approx(2 * full.seconds)
    assert of("batch.micro_batches=4").memory < full.memory
    assert of("optimizer=sgd", "optimizer.momentum=0").memory < of("optimizer=sgd").memory < full.memory
    assert of("dataset=files", "dataset.files.train=x").seconds is None


def findings(environment, machine=LAPTOP, reachable=False):
    return {finding.subject: finding for finding in doctor.findings(machine, environment, lambda address: reachable)}


def test_doctor_tells_what_each_finding_means(tmp_path):
    environment = {"NETRC": str(tmp_path / "absent"), "FINECOMB_CACHE": str(tmp_path)}
    found = findings(environment)
    assert "trainer=cpu" in found["device"].means
    assert found["precision"].means == "trainer.precision=auto is bf16"
    assert "cannot be fetched" in found["hub"].means
    assert found["W&B"].found == "no account"
    assert str(tmp_path) in found["disk"].found
    assert "torch" in found["versions"].found
    assert findings(environment, Machine(8, 1, True, True, ("H200",)), True)["device"].found == "1 GPU(s): H200"
    assert findings({**environment, "HF_HUB_OFFLINE": "1"}, reachable=True)["hub"].found == "offline by HF_HUB_OFFLINE"


def test_doctor_never_shows_a_key(tmp_path):
    secret = "0123456789abcdef" * 3
    (tmp_path / "netrc").write_text(f"machine api.wandb.ai login user password {secret}\n")
    by_netrc = findings({"NETRC": str(tmp_path / "netrc")})["W&B"]
    by_variable = findings({"WANDB_API_KEY": secret, "NETRC": str(tmp_path / "absent")})["W&B"]
    assert by_netrc.state == by_variable.state == "ok"
    assert secret not in f"{by_netrc}{by_variable}"


def test_an_address_where_nobody_listens_is_not_reachable():
    assert not doctor.is_reachable("http://127.0.0.1:9")
    assert not doctor.is_reachable("no address")
