"""The suite is itself tested: each defect, planted on purpose, must turn its check red."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch
from harness import cell_config, check_same, parts_of, plain, prepared, train, with_split
from test_evaluation import check_batch_sizes, check_each_alone, check_labels
from test_modes import check_dropout
from test_resume import Killed, _attempt, _everything, _kill_at, _run, assert_equal, check_patience
from tiny_runs import make_run
from torch import Tensor

from finecomb.learning import heads, optimizer
from finecomb.learning.tuning import tuned as tuned_module
from finecomb.training import callbacks, datamodule, evaluate, module, parts, worker
from finecomb.training.batching import Plan
from finecomb.training.module import Module

Check = Callable[[Path, Path], None]


def check_gradient(data_folder: Path, folder: Path) -> None:
    """Four micro-batches give the plain gradient."""
    config = cell_config(data_folder, "single", "full")
    check_same(plain(config), train(folder, with_split(config, parts=4)), 1e-9)


def check_dropout_full(data_folder: Path, folder: Path) -> None:
    """Dropout is on."""
    check_dropout(folder, data_folder, "full")


def check_evaluation(data_folder: Path, folder: Path) -> None:
    """Batch sizes change nothing, and each example gets its own logits."""
    parts = parts_of(cell_config(data_folder, "single", "full"))
    check_batch_sizes(parts)
    check_each_alone(parts)


def check_plan(data_folder: Path, folder: Path) -> None:
    """Every example stands in exactly one batch of an epoch."""
    for count in (20, 24):
        batches = Plan(np.arange(count) % 7 + 1, size=8, seed=0, bucket=2).epoch(0)
        assert sorted(np.concatenate(batches).tolist()) == list(range(count)), "not every example once"


def check_artifact(data_folder: Path, folder: Path) -> None:
    """A run's predictions and artifact bear the label names."""
    run = make_run(folder, prepared(data_folder, "single"))
    assert worker.attempt(run, first=True, started=0.0) == 0
    rows = pyarrow.parquet.read_table(run.predictions / "test.parquet").to_pylist()
    check_labels(rows, ["negative", "neutral", "positive"], run.artifact)


def check_frozen(data_folder: Path, folder: Path) -> None:
    """What is frozen keeps every bit."""
    assert train(folder, cell_config(data_folder, "single", "top_layers", "tuning.k=1")).frozen, "a frozen tensor has moved"


def check_decay(data_folder: Path, folder: Path) -> None:
    """Decay moves matrices, and neither norms nor biases."""
    without, with_decay = (
        train(folder, cell_config(data_folder, "single", "full", "trainer.max_steps=1", f"optimizer.weight_decay={decay}")).weights
        for decay in (0.0, 0.5)
    )
    for name, tensor in without.items():
        kept = "LayerNorm" in name or name.endswith("bias")
        assert torch.equal(tensor, with_decay[name]) == kept, name


def check_prompts(data_folder: Path, folder: Path) -> None:
    """A decoder with virtual tokens is read at the last token of the text, as by hand on a single text."""
    parts = parts_of(cell_config(data_folder, "single", "prompt", "model=tiny", "model.architecture=gpt2"))
    tuned, batch = parts.tuned, parts.data.splits["test"].batch(np.arange(5))
    core, prompt = tuned.core, tuned.model.prompt_encoder["default"].embedding.weight
    tuned.model.eval()
    with torch.no_grad():
        found = tuned.forward(batch.inputs)
        for row in range(5):
            tokens = batch.inputs["input_ids"][row][batch.inputs["attention_mask"][row] > 0]
            embeds = torch.cat((prompt, core.get_input_embeddings()(tokens)))[None]
            by_hand = core.score(core.transformer(inputs_embeds=embeds).last_hidden_state[0, -1])
            assert torch.allclose(by_hand, found[row], rtol=1e-9, atol=1e-9), f"another logit at row {row}"


def check_resume(data_folder: Path, folder: Path) -> None:
    """Killed and resumed is as undisturbed."""
    alone, killed = (_run(folder, data_folder, name=name) for name in ("alone", "killed"))
    assert _attempt(alone) == 0
    with pytest.MonkeyPatch.context() as context:
        _kill_at(context, callbacks.Record, "on_train_batch_end", lambda self, trainer, *_: trainer.global_step == 5)
        with pytest.raises(Killed):
            _attempt(killed)
    torch.manual_seed(1)
    assert _attempt(killed) == 0
    assert_equal(_everything(alone)["state_dict"], _everything(killed)["state_dict"])


def check_clipping(data_folder: Path, folder: Path) -> None:
    """The norm of the whole gradient is clipped, as torch clips it."""
    config = cell_config(data_folder, "single", "full", "trainer.gradient_clip_val=0.1")
    check_same(plain(config), train(folder, with_split(config, parts=4)), 1e-9)


def check_patience_over_attempts(data_folder: Path, folder: Path) -> None:
    """Epochs without improvement before a kill count after it."""
    folder.mkdir()
    check_patience(folder, data_folder)


# Defects


def scaled_by_accumulation(patch: pytest.MonkeyPatch) -> None:
    """As HF's Trainer does for heads that ignore the number of items: the gradient grows with the number of micro-batches."""
    original = Module._scale
    patch.setattr(Module, "_scale", lambda self, step: original(self, step) * len(step.micro_batches))


def mean_of_micro_batch_means(patch: pytest.MonkeyPatch) -> None:
    """Each micro-batch counts the same, however many examples it has."""

    def loss(self: Any, batch: Any, scale: Tensor) -> Tensor:
        values, _ = self.loss(self.tuned.forward(batch.inputs), batch.targets)
        return values.mean() / 3

    patch.setattr(Module, "_loss", loss)

    original = datamodule.share

    def uneven(batch: Any, lengths: Any, **how: Any) -> Any:
        return original(batch, lengths, **(how | {"parts": 3}))

    patch.setattr(datamodule, "share", uneven)


def eval_mode_while_training(patch: pytest.MonkeyPatch) -> None:
    """As Lightning does to a model that comes from from_pretrained."""
    patch.setattr(tuned_module.Tuned, "train_mode", lambda self: self.model.eval())


def mean_of_batch_means(patch: pytest.MonkeyPatch) -> None:
    """As HF's Trainer does: the loss of a small last batch counts as much as that of a full one."""
    rows: list[Tensor] = []
    collect, score = evaluate.collect, evaluate.score

    def remembering(keep: Any, batches: Any, **how: Any) -> Tensor:
        kept = list(batches)
        rows[:] = [batch.index for batch in kept]
        return collect(keep, kept, **how)

    def averaging(*arguments: Any, **how: Any) -> Any:
        right = score(*arguments, **how)
        mean = float(torch.stack([right.losses[index].mean() for index in rows]).mean())
        return dataclasses.replace(right, metrics=right.metrics | {"loss": mean})

    patch.setattr(evaluate, "collect", remembering)
    patch.setattr(evaluate, "score", averaging)


def dropped_tail_in_training(patch: pytest.MonkeyPatch) -> None:
    """The incomplete batch is left out."""
    original = Plan.epoch
    patch.setattr(Plan, "epoch", lambda self, epoch: [batch for batch in original(self, epoch) if len(batch) == self.size])


def dropped_tail_in_evaluation(patch: pytest.MonkeyPatch) -> None:
    """The incomplete batch is left out."""
    original = datamodule.evaluation_batches
    patch.setattr(
        datamodule,
        "evaluation_batches",
        lambda lengths, size, **how: [rows for rows in original(lengths, size, **how) if len(rows) == size],
    )


def reordered_predictions(patch: pytest.MonkeyPatch) -> None:
    """Logits come back in the order in which they were computed, by length."""

    def in_order_of_computing(keep: Any, batches: Any, **_: Any) -> Tensor:
        return torch.cat([keep(batch) for batch in batches]).double()

    patch.setattr(evaluate, "collect", in_order_of_computing)


def lost_label_names(patch: pytest.MonkeyPatch) -> None:
    """The artifact says LABEL_0."""
    build = parts.models.build
    patch.setattr(parts.models, "build", lambda *arguments, **keywords: build(*arguments, **(keywords | {"label_names": None})))


def a_frozen_tensor_moves(patch: pytest.MonkeyPatch) -> None:
    """The optimizer has a tensor that should be frozen."""
    build = optimizer.build

    def with_one_more(config: Any, tuned: Any, **how: Any) -> Any:
        built = build(config, tuned, **how)
        frozen = next(parameter for parameter in tuned.model.parameters() if not parameter.requires_grad)
        built.add_param_group({"params": [frozen.requires_grad_()], "name": "a stranger"})
        return built

    patch.setattr(optimizer, "build", with_one_more)


def decay_on_norms(patch: pytest.MonkeyPatch) -> None:
    """Everything decays, as in PEFT's method comparison."""
    patch.setattr(optimizer, "undecayed", lambda tuned: set())


def unshifted_prompts(patch: pytest.MonkeyPatch) -> None:
    """The head reads where the text would end without the virtual tokens."""
    original = heads.classify

    def unshifted(core: Any, inputs: dict[str, Tensor]) -> Tensor:
        if "inputs_embeds" not in inputs:
            return original(core, inputs)
        hidden = core.transformer(**inputs).last_hidden_state
        last = inputs["attention_mask"].sum(1) - 1 - 3
        return core.score(hidden[torch.arange(len(last)), last])

    patch.setattr(heads, "classify", unshifted)


def random_numbers_of_the_process(patch: pytest.MonkeyPatch) -> None:
    """Dropout depends on what the process drew before."""
    patch.setattr(module, "seed_step", lambda *_: None)


def clipped_by_the_norm_of_the_first_group(patch: pytest.MonkeyPatch) -> None:
    """The norm leaves out all parameters but those of the optimizer's first group."""

    def clip(self: Any, built: Any) -> None:
        grouped = [[parameter for parameter in group["params"] if parameter.grad is not None] for group in built.param_groups]
        norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in grouped[0]])
        torch.nn.utils.clip_grads_with_norm_(
            [parameter for group in grouped for parameter in group], self.config.trainer.gradient_clip_val, norm
        )

    patch.setattr(Module, "on_before_optimizer_step", clip)


def patience_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The checkpoint lacks the number of epochs without improvement."""
    original = callbacks.Best.state_dict

    def state(self: Any) -> dict[str, Any]:
        return {name: value for name, value in original(self).items() if name != "epochs_without"}

    patch.setattr(callbacks.Best, "state_dict", state)


# Defect, check, and what the check says.
DEFECTS: list[tuple[Callable[[pytest.MonkeyPatch], None], Check, str]] = [
    (scaled_by_accumulation, check_gradient, "gradient of step 0"),
    (mean_of_micro_batch_means, check_gradient, "gradient of step 0"),
    (eval_mode_while_training, check_dropout_full, "dropout had no effect"),
    (mean_of_batch_means, check_evaluation, "^loss"),
    (dropped_tail_in_training, check_plan, "not every example once"),
    (dropped_tail_in_evaluation, check_evaluation, "6 of 13 examples never"),
    (reordered_predictions, check_evaluation, "row 0"),
    (lost_label_names, check_artifact, "LABEL_0"),
    (a_frozen_tensor_moves, check_frozen, "a frozen tensor has moved"),
    (decay_on_norms, check_decay, "LayerNorm"),
    (unshifted_prompts, check_prompts, "another logit at row 0"),
    (clipped_by_the_norm_of_the_first_group, check_clipping, "gradient of step 1"),
    (patience_forgotten, check_patience_over_attempts, "epochs until patience ran out"),
    (random_numbers_of_the_process, check_resume, "^/bert"),
]


@pytest.mark.parametrize(("defect", "check", "said"), DEFECTS, ids=[defect.__name__ for defect, *_ in DEFECTS])
def test_a_planted_defect_turns_its_check_red(defect: Any, check: Check, said: str, data_folder: Path, tmp_path: Path) -> None:
    check(data_folder, tmp_path / "sound")
    with pytest.MonkeyPatch.context() as patch:
        defect(patch)
        # Collector counts the rows it saw and raises by itself.
        with pytest.raises((AssertionError, RuntimeError), match=said):
            check(data_folder, tmp_path / "defective")
