"""Models that are trained from the start: random weights, and a tokenizer that is learned from the training texts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from finecomb.assets.cache import BASES
from finecomb.config.schema.model import Transformer
from finecomb.core import atomic
from finecomb.learning.model.source import ModelSource
from finecomb.learning.quiet import quiet

VERSION = "1"

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"


@dataclass(frozen=True)
class Corpus:
    """Texts of a train split. content: their hash."""

    content: str
    texts: Callable[[], Iterable[str]]


def scratch_directory(choice: Transformer, source: ModelSource, corpus: Corpus, *, seed: int) -> Path:
    """The directory of such a model in the cache, in transformers' format; written on first use.

    It is found again by the sizes, the texts and the seed.
    """
    parts = [source.sha256, corpus.content, str(seed), VERSION, *(f"{name} {version(name)}" for name in ("tokenizers", "torch"))]
    directory = BASES.path(f"{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:48]}-scratch")
    if directory.is_dir():
        return directory
    tokenizer = trained_tokenizer(corpus.texts(), choice.vocabulary)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.MarianMTModel(marian_config(choice, tokenizer))
    directory.parent.mkdir(parents=True, exist_ok=True)
    # Another process may be first; what it wrote is the same.
    with atomic.directory(directory, keep=True) as scratch, quiet():
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
    return directory


def trained_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A byte-level BPE tokenizer, which no text is unknown to, with an end token behind each text."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, min_frequency=2, special_tokens=[PAD, END, UNKNOWN], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    end = tokenizer.token_to_id(END)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[(END, end)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, unk_token=UNKNOWN, clean_up_tokenization_spaces=False,
        model_max_length=int(1e30),
    )  # fmt: skip


def marian_config(choice: Transformer, tokenizer: Any) -> Any:
    """Sinusoidal positions, norms behind each layer, embeddings scaled by the root of their size."""
    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (("layers", choice.layers), ("attention_heads", choice.heads), ("ffn_dim", choice.intermediate))
    }
    return transformers.MarianConfig(
        vocab_size=len(tokenizer), d_model=choice.hidden, max_position_embeddings=choice.positions, activation_function="relu",
        scale_embedding=True, init_std=choice.hidden**-0.5, tie_word_embeddings=True, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, bos_token_id=None, decoder_start_token_id=tokenizer.pad_token_id, forced_eos_token_id=None,
        **sides,
    )  # fmt: skip
