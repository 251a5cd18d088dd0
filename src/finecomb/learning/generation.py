"""Texts that a model writes, a batch at a time: greedily, by beam search, or drawn, by `generate` of transformers with its KV cache.

A text depends on its prompt and on the settings alone, not on its company: decoders get their padding on the left and positions counted
from the first real token, and drawn tokens come from random numbers of the prompt's own. Settings that come with the weights (sampling,
lengths, penalties) are not used; of those only the ids of special tokens are.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

from finecomb.config.schema.train import Generate
from finecomb.learning.pooling import align

VERSION = "1"

# What a model's own generation config says of special tokens; Marian, for example, never generates its padding.
_IDS = (
    "bos_token_id", "pad_token_id", "decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id", "bad_words_ids",
    "suppress_tokens", "begin_suppress_tokens",
)  # fmt: skip
NOTHING = -1  # fills a row behind its last token


class Model(Protocol):
    """A tuned model, or one that was read back from an artifact."""

    @property
    def core(self) -> Any:
        """The transformers model."""

    @property
    def adapt(self) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
        """From a batch's inputs to what the core takes: virtual tokens, if any, are put before the text."""


class Generator:
    """Writes texts with a model in eval mode.

    Args:
        model: with a head for words.
        settings: how tokens are chosen.
        max_new_tokens: most tokens of a text, its end included.
        stops: tokens that end a text, beside those by which the weights' own generation config ends it.

    Attributes:
        config: the settings as transformers has them, for an artifact: its `generate` then gives the same texts.
    """

    def __init__(self, model: Model, settings: Generate, *, max_new_tokens: int, stops: Sequence[int]) -> None:
        self._model, self._settings, self.max_new_tokens = model, settings, max_new_tokens
        own = model.core.generation_config
        ends = own.eos_token_id if isinstance(own.eos_token_id, list) else [own.eos_token_id]
        self._ends = sorted({end for end in (*ends, *stops) if end is not None})
        config = GenerationConfig(**{name: getattr(own, name, None) for name in _IDS})
        config.pad_token_id = model.core.config.pad_token_id
        config.eos_token_id = self._ends[0] if len(self._ends) == 1 else self._ends
        config.max_new_tokens = max_new_tokens
        config.num_beams, config.length_penalty = settings.num_beams, settings.length_penalty
        config.no_repeat_ngram_size = settings.no_repeat_ngram_size
        # What a config leaves open is taken from the model's own: the weights' settings must not be there.
        model.core.generation_config = config
        self.config = copy.deepcopy(config)
        if settings.do_sample:
            self.config.do_sample, self.config.top_k = True, 0
            self.config.temperature, self.config.top_p = settings.temperature, settings.top_p

    def __call__(self, inputs: dict[str, Tensor]) -> Tensor:
        """Tokens [B, max_new_tokens] of each row's text without the token that ended it; -1 behind the last.

        inputs: of prompts, or of sources for an encoder-decoder: input_ids and attention_mask, each [B, L], padded on either side.
        """
        core = self._model.core
        seeds = _seeds(inputs, self._settings.seed) if self._settings.do_sample else None
        joined = core.config.is_encoder_decoder
        adapted = align(self._model.adapt(inputs), "right" if joined else "left")
        chosen = LogitsProcessorList() if seeds is None else self._drawn(seeds)
        with torch.no_grad(), torch.autocast(inputs["input_ids"].device.type, enabled=False):
            tokens = core.generate(**adapted, generation_config=core.generation_config, logits_processor=chosen)
        # An encoder-decoder's text starts with a token of its own; a decoder's with its prompt, unless that was given as embeddings.
        start = 1 if joined else adapted["input_ids"].shape[1] if "input_ids" in adapted else 0
        return self._texts(tokens[:, start:])

    def _drawn(self, seeds: Sequence[int]) -> LogitsProcessorList:
        warpers: list[LogitsProcessor] = [TemperatureLogitsWarper(float(self._settings.temperature))]
        if self._settings.top_p < 1:
            warpers.append(TopPLogitsWarper(self._settings.top_p))
        return LogitsProcessorList([*warpers, _Noise(seeds)])

    def _texts(self, tokens: Tensor) -> Tensor:
        ended = torch.isin(tokens, torch.tensor(self._ends, device=tokens.device)).cumsum(1) > 0
        texts = tokens.new_full((len(tokens), self.max_new_tokens), NOTHING)
        texts[:, : tokens.shape[1]] = tokens.masked_fill(ended, NOTHING)
        return texts


class _Noise(LogitsProcessor):
    """Adds Gumbel noise, so that the greatest value is a draw from the softmax; each row has random numbers of its own."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # type: ignore[override]
        uniform = torch.stack([torch.rand(scores.shape[1], generator=each, dtype=torch.float64) for each in self._generators])
        return scores - torch.log(-torch.log(uniform.clamp(min=1e-300))).to(scores)


def _seeds(inputs: dict[str, Tensor], seed: int) -> list[int]:
    """A seed for each row, of its real tokens."""
    rows = align({name: inputs[name] for name in ("input_ids", "attention_mask")}, "right")
    lengths = rows["attention_mask"].sum(1).tolist()
    return [_seed(seed, tokens[:length]) for tokens, length in zip(rows["input_ids"].tolist(), lengths, strict=True)]


def _seed(seed: int, tokens: list[int]) -> int:
    digest = hashlib.sha256(" ".join(map(str, [seed, *tokens])).encode()).digest()
    return int.from_bytes(digest[:7], "big")
