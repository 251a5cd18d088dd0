"""The tests are tested: each defect, planted, turns a test of this folder red."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import test_artifact
import test_backbone
import test_optimizer
import test_pooling
import test_task
import test_tuning
import torch
from transformers import PreTrainedTokenizerBase

from finecomb.learning import optimizer, pooling
from finecomb.learning.model import backbone
from finecomb.learning.tuning import tuned
from finecomb.learning.tuning.tuned import Tuned, is_bias


@pytest.mark.parametrize("model_type", ["bert", "gpt2", "llama", "xlnet"])
def test_prompts_that_do_not_shift_with_the_padding(make: Any, monkeypatch: pytest.MonkeyPatch, model_type: str) -> None:
    monkeypatch.setattr(pooling, "align", lambda inputs, side: dict(inputs))
    with pytest.raises(AssertionError):
        test_pooling.test_padding_never_changes_a_logit(make, model_type, "prompt")


def test_decoders_read_at_the_last_token_that_is_not_the_padding_token(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_pooling, "classify", lambda model, inputs: model(**inputs).logits)
    with pytest.raises(AssertionError):
        test_pooling.test_a_text_that_ends_with_the_padding_token_is_read_to_its_end(make, "gpt2")


def test_eval_mode_while_training(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tuned, "train_mode", lambda self: self.model.eval())
    with pytest.raises(AssertionError):
        test_tuning.test_full_is_wholly_in_train_mode(make, "bert")
    with pytest.raises(AssertionError):
        test_tuning.test_frozen_parts_are_in_eval_mode_and_what_trains_in_train_mode(make)


@pytest.mark.parametrize("method", ["head", "lora", "prompt"])
def test_train_mode_below_the_boundary(make: Any, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(Tuned, "train_mode", lambda self: self.model.train())
    with pytest.raises(AssertionError):
        test_tuning.test_features_below_the_boundary_carry_no_noise(make, "bert", method)


def test_a_frozen_tensor_that_moves(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def nudge(self: Tuned) -> None:
        self.core.bert.embeddings.word_embeddings.weight.data[0] += 1e-3

    monkeypatch.setattr(Tuned, "train_mode", nudge)
    with pytest.raises(AssertionError):
        test_tuning.test_one_step_moves_what_trains_and_nothing_else(make, "bert", "head")


def test_a_layer_too_many(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "finecomb.learning.tuning.head.train_only", lambda model, names: tuned.train_only(model, [n for n, _ in model.named_parameters()])
    )
    with pytest.raises(AssertionError):
        test_tuning.test_trainable_sets(make, "bert")


def test_decay_on_norms(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizer, "undecayed", lambda tuned: {name for name in tuned.trainable if is_bias(name)})
    for model_type in ("bert", "llama"):
        with pytest.raises(AssertionError):
            test_optimizer.test_decay_goes_to_matrices_only(make, model_type)


def test_lost_label_names(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone, "_set_outputs", lambda config, num_outputs, *_: setattr(config, "num_labels", num_outputs))
    with pytest.raises(AssertionError):
        test_backbone.test_label_names_and_problem_type_are_in_the_config(make)
    with pytest.raises(AssertionError):
        test_artifact.test_names_lengths_and_sides_are_kept(make, tmp_path, "lora")


def test_a_head_from_the_global_random_state(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def initialise(model: Any, modules: tuple[str, ...], *, seed: int) -> None:
        for path in modules:
            torch.nn.init.normal_(next(model.get_submodule(path).parameters()))

    monkeypatch.setattr(backbone, "initialise", initialise)
    with pytest.raises(AssertionError):
        test_backbone.test_the_head_comes_from_the_seed_alone(make, "bert")


def test_pairs_whose_first_text_alone_is_cut(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cls = PreTrainedTokenizerBase
    original = cls.__call__

    def only_first(self: Any, *texts: Any, **how: Any) -> Any:
        return original(self, *texts, **(how | ({"truncation": "only_first"} if how.get("truncation") else {})))

    monkeypatch.setattr(cls, "__call__", only_first)
    with pytest.raises(AssertionError):
        test_task.test_of_a_pair_whose_texts_are_both_long_each_keeps_its_share(make, "bert", 20, 12)
