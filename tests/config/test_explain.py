"""explain and doctor tell the truth in plain text."""

import io

import pytest
from rich.console import Console

from finecomb.config import doctor
from finecomb.config.compose import compose
from finecomb.config.estimate import estimate
from finecomb.config.explain import show
from finecomb.config.resolve import resolve
from finecomb.core.machine import Machine

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
    assert "not known before the weights" in explained("model=tiny")[1]


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


def test_memory_of_a_large_model_is_what_one_computes_by_hand():
    common = ["model=qwen3_8b", "tuning=lora", "tuning.r=16", "trainer.precision=bf16-mixed", "trainer=gpu", "batch.micro_batches=4"]
    common += ["batch.size=16", "batch.max_length=512"]

    def of(*overrides):
        return estimate(compose([*common, *overrides]).config, LAPTOP).memory

    tokens, hidden, layers, heads = 16 / 4 * 512, 4096, 36, 32
    adapters = layers * 16 * ((4096 + 4096) + (4096 + 1024)) + 2 * 4096
    stored = 4 * (7_568_405_504 + adapters + 3 * adapters)
    layer = 34 * tokens * hidden
    assert of() == pytest.approx(stored + layers * layer, rel=1e-12)
    checkpointed = of("model.gradient_checkpointing=true")
    assert checkpointed == pytest.approx(stored + layers * 2 * tokens * hidden + layer, rel=1e-12)
    matrices = 5 * tokens * heads * 512
    assert of("model.attention=eager") == pytest.approx(stored + layers * (layer + matrices), rel=1e-12)
    slow, fast = (estimate(compose([*common, *more]).config, LAPTOP).seconds for more in (["model.gradient_checkpointing=true"], []))
    assert slow == pytest.approx(fast * 3 / 2)


def test_an_experiment_with_lora_on_a_large_model_fits_a_gpu_of_24_gb():
    found = estimate(compose(["experiment=lora_7b_one_gpu"]).config, LAPTOP)
    # LoRA of rank 16 on q, k, v, o, gate, up and down of 36 layers, and a head of 2 outputs.
    adapters = 36 * 16 * (2 * (4096 + 4096) + 2 * (4096 + 1024) + 3 * (4096 + 12288)) + 2 * 4096
    assert found.parameters.trainable == adapters == 43_655_168
    # Weights in bfloat16; weight, gradient and two moments of LoRA in fp32; 4 rows of 512 tokens.
    activations = 36 * 2 * 2048 * 4096 + 34 * 2048 * 4096
    assert found.memory == pytest.approx(2 * 7_568_405_504 + 4 * 4 * adapters + activations, rel=1e-12)
    assert found.memory == pytest.approx(16.7e9, rel=0.01)


def test_an_experiment_with_full_tuning_of_a_large_model_divides_it_among_devices():
    found = estimate(compose(["experiment=full_7b_fsdp"]).config, LAPTOP)
    layer, outside = 192_946_432, 151_936 * 4096 + 4096 + 2 * 4096
    assert found.parameters.total == found.parameters.trainable == 36 * layer + outside
    gathered = outside + 2 * layer
    activations = 36 * 2 * 2048 * 4096 + 34 * 2048 * 4096  # 4 rows of 512 tokens on each device
    assert found.memory == pytest.approx(4 * 4 * found.parameters.total / 8 + 4 * 2 * gathered + activations, rel=1e-12)
    assert found.memory == pytest.approx(24.1e9, rel=0.01)
    # Several micro-batches add to a whole gradient on each device.
    several = estimate(compose(["experiment=full_7b_fsdp", "batch.micro_batches=2"]).config, LAPTOP)
    assert several.memory - found.memory == pytest.approx(4 * (found.parameters.total - gathered) - activations / 2, rel=1e-12)


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
    assert "needs a GPU" in found["attention"].means
    assert "flash-attn is not installed" in findings(environment, Machine(8, 1, True, True, ("H200",)))["attention"].found
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
