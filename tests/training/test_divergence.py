"""The advice after a divergence names only settings that the run does not have already."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tiny_runs import tiny_config

from finecomb.training.callbacks.record import _against_divergence


@pytest.mark.parametrize(
    ("clip", "precision", "expected", "absent"),
    [
        (1.0, "32-true", [], ["gradient_clip_val", "precision"]),
        (None, "32-true", ["trainer.gradient_clip_val=1 (now off)"], ["precision"]),
        (5.0, "bf16-mixed", ["trainer.gradient_clip_val=1 (now 5.0)", "trainer.precision=32-true (now bf16-mixed)"], []),
        (0.5, "16-mixed", ["trainer.precision=32-true (now 16-mixed)"], ["gradient_clip_val"]),
    ],
)
def test_advice_leaves_out_what_is_set_already(clip: Any, precision: str, expected: list[str], absent: list[str], data: Any) -> None:
    config = tiny_config(data)
    config = dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, gradient_clip_val=clip, precision=precision))
    advice = _against_divergence(config)
    assert f"optimizer.lr (now {config.optimizer.lr})" in advice
    for text in expected:
        assert text in advice
    for text in absent:
        assert text not in advice
