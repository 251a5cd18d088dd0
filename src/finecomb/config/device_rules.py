"""Rules between the fields that decide how a model is computed: attention, precision and device. `validate` applies them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator

from finecomb.config.schema.model import FAMILIES
from finecomb.config.schema.train import Config
from finecomb.core.errors import Problem

FLASH_PACKAGE = "flash_attn"


def attention_problem(attention: str, model_type: str, where: str) -> Problem | None:
    """What is wrong with `model.attention` for an architecture; None for a known one that has it, and for one that is not known."""
    family = FAMILIES.get(model_type)
    if family is None or attention in ("auto", *family.attention):
        return None
    allowed = ", ".join(("auto", *family.attention))
    return Problem(f"model.attention={attention} is not available for {model_type}", where, allowed, "set model.attention=auto")


def attention(config: Config, where: Callable[[str], str]) -> Iterator[Problem]:
    """Whether the architecture, the installed packages, the device and the precision permit `model.attention`."""
    key, chosen = "model.attention", config.model.attention
    if problem := attention_problem(chosen, config.model.model_type, where(key)):
        yield problem
    if chosen != "flash_attention_2":
        return
    if importlib.util.find_spec(FLASH_PACKAGE) is None:
        what = f"{key}={chosen} needs the package flash-attn, which is not installed"
        yield Problem(
            what, where(key), "auto, sdpa, eager", "set model.attention=sdpa, or run pip install flash-attn on a machine with CUDA"
        )
    if config.trainer.accelerator == "cpu":
        yield Problem(f"{key}={chosen} needs a GPU; trainer.accelerator=cpu", where(key), "auto, sdpa, eager", "set model.attention=sdpa")
    if config.trainer.precision != "bf16-true":
        what = f"{key}={chosen} needs weights in bfloat16; trainer.precision={config.trainer.precision} evaluates in fp32"
        yield Problem(what, where("trainer.precision"), "bf16-true", "set trainer.precision=bf16-true, or model.attention=sdpa")


def sharding(config: Config, where: Callable[[str], str]) -> Iterator[Problem]:
    """What trainer.strategy=fsdp cannot be combined with."""
    if config.trainer.strategy != "fsdp":
        return
    if config.trainer.compile:
        what = "trainer.compile=true is not tested with trainer.strategy=fsdp"
        yield Problem(what, where("trainer.compile"), "false", "set trainer.compile=false, or trainer.strategy=ddp")
    if config.trainer.precision == "16-mixed":
        what = "trainer.precision=16-mixed is not available with trainer.strategy=fsdp: its loss scaling does not know divided gradients"
        yield Problem(what, where("trainer.precision"), "bf16-mixed, bf16-true, 32-true", "set trainer.precision=bf16-mixed")
    if config.optimizer.name == "adafactor":
        what = "optimizer=adafactor takes means over whole tensors, which trainer.strategy=fsdp divides among devices"
        yield Problem(what, where("optimizer"), "adam, adamw, sgd", "choose optimizer=adamw, or trainer.strategy=ddp")
