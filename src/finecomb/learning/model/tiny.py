"""Tiny random models for tests, one for each architecture: some thousand parameters, built from the architecture's own config class."""

from __future__ import annotations

import shutil
from collections.abc import Container
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForSequenceClassification

from finecomb.assets import hash_directory
from finecomb.assets.cache import BASES
from finecomb.config.schema.model import FAMILIES, Model, TinyModel
from finecomb.core import atomic
from finecomb.learning.model.source import ModelSource
from finecomb.learning.model.tokenizer import tiny_tokenizer
from finecomb.learning.quiet import quiet

VERSION = "1"

POSITIONS = 192
# Larger than usual, so that a defect moves the logits of a random model by more than rounding does.
INITIALIZER_RANGE = 0.1
_HASH = ".sha256"  # of the files beside it; hidden, so that it is none of them


def tiny_config(choice: TinyModel, tokenizer: Any) -> Any:
    """The transformers config of a tiny model, with the traits of the real ones (relative positions, grouped heads, windows)."""
    common = {
        "vocab_size": len(tokenizer),
        "hidden_size": choice.hidden,
        "num_hidden_layers": choice.layers,
        "num_attention_heads": choice.heads,
        "intermediate_size": 2 * choice.hidden,
        "max_position_embeddings": POSITIONS,
        "initializer_range": INITIALIZER_RANGE,
    }
    ids = {
        role: value
        for role in ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")
        if (value := getattr(tokenizer, role)) is not None
    }
    named = {"pad_token_id": None, **ids}
    match choice.model_type:
        case "bert":
            return transformers.BertConfig(**common, **named)
        case "roberta" | "xlm-roberta":
            # Positions start behind the padding id.
            common["max_position_embeddings"] += ids["pad_token_id"] + 1
            config_class = transformers.RobertaConfig if choice.model_type == "roberta" else transformers.XLMRobertaConfig
            return config_class(**common, **named, type_vocab_size=1)
        case "distilbert":
            return transformers.DistilBertConfig(
                vocab_size=len(tokenizer), dim=choice.hidden, n_layers=choice.layers, n_heads=choice.heads, hidden_dim=2 * choice.hidden,
                max_position_embeddings=POSITIONS, initializer_range=INITIALIZER_RANGE, **named,
            )  # fmt: skip
        case "electra":
            return transformers.ElectraConfig(**common, **named, embedding_size=choice.hidden // 2)
        case "deberta-v2":
            return transformers.DebertaV2Config(
                **common, **named, type_vocab_size=0, relative_attention=True, position_buckets=16, norm_rel_ebd="layer_norm",
                share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False, pooler_hidden_size=choice.hidden,
            )  # fmt: skip
        case "modernbert":
            return transformers.ModernBertConfig(
                **common, **named, local_attention=16, global_attn_every_n_layers=2, initializer_cutoff_factor=2.0
            )
        case "xlnet":
            return transformers.XLNetConfig(
                vocab_size=len(tokenizer), d_model=choice.hidden, n_layer=choice.layers, n_head=choice.heads, d_inner=2 * choice.hidden,
                initializer_range=INITIALIZER_RANGE, **named,
            )  # fmt: skip
        case "gpt2":
            return transformers.GPT2Config(
                vocab_size=len(tokenizer), n_embd=choice.hidden, n_layer=choice.layers, n_head=choice.heads, n_positions=POSITIONS,
                initializer_range=INITIALIZER_RANGE, **named,
            )  # fmt: skip
        case "llama":
            return transformers.LlamaConfig(**common, **named, num_key_value_heads=choice.heads)
        case "qwen3":
            return transformers.Qwen3Config(**common, **named, num_key_value_heads=1, head_dim=choice.hidden // choice.heads)
        case "bart" | "marian":
            config_class = transformers.BartConfig if choice.model_type == "bart" else transformers.MarianConfig
            sides = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in (
                ("layers", choice.layers), ("attention_heads", choice.heads), ("ffn_dim", 2 * choice.hidden)
            )}  # fmt: skip
            start = ids["eos_token_id"] if choice.model_type == "bart" else ids["pad_token_id"]
            return config_class(
                vocab_size=len(tokenizer), d_model=choice.hidden, max_position_embeddings=POSITIONS, init_std=INITIALIZER_RANGE,
                decoder_start_token_id=start, forced_eos_token_id=None, **sides, **named,
            )  # fmt: skip
        case "t5":
            return transformers.T5Config(
                vocab_size=len(tokenizer), d_model=choice.hidden, d_kv=choice.hidden // choice.heads, d_ff=2 * choice.hidden,
                num_layers=choice.layers, num_heads=choice.heads, decoder_start_token_id=ids["pad_token_id"], **named,
            )  # fmt: skip
    raise ValueError(f"no tiny model of architecture {choice.model_type}")


def tiny_model(config: Any, *, init_seed: int) -> Any:
    """A ...ForSequenceClassification, or of an encoder-decoder ...ForConditionalGeneration, with weights drawn from `init_seed` alone.

    The caller's random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(init_seed)
        auto = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForSequenceClassification
        return auto.from_config(config, dtype=torch.float32)


def words_head(config: Any, known: Container[str], *, init_seed: int) -> dict[str, torch.Tensor]:
    """Tensors of the architecture's own head for words, drawn from `init_seed` alone; none where it has no such head.

    known: names of the other tensors. Tensors that are tied to the embeddings are left out, as in any stored weights.
    """
    family = FAMILIES[config.model_type]
    if family.encoder is not None:
        return {}
    auto = transformers.AutoModelForCausalLM if family.causal else transformers.AutoModelForMaskedLM
    if type(config) not in (transformers.MODEL_FOR_CAUSAL_LM_MAPPING if family.causal else transformers.MODEL_FOR_MASKED_LM_MAPPING):
        return {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(init_seed + 1)  # not the numbers of the layers again
        model = auto.from_config(config, dtype=torch.float32)
    tied = model._tied_weights_keys if config.tie_word_embeddings else ()
    return {name: value for name, value in model.state_dict().items() if name not in known and name not in (tied or ())}


def tiny_directory(choice: Model, source: ModelSource) -> Path:
    """The directory of a tiny model in the cache, written on first use: with a head for words alone, in transformers' format."""
    if not isinstance(choice, TinyModel):
        raise TypeError("a model without a directory must be a tiny one")
    directory = BASES.path(f"{source.sha256[:48]}-words")
    if directory.is_dir():
        mark = directory / _HASH
        if mark.is_file() and mark.read_text(encoding="utf-8") == hash_directory(directory):
            return directory
        shutil.rmtree(directory, ignore_errors=True)  # damaged, or half written by hand: it is made again from its config
    tokenizer = tiny_tokenizer(source.model_type)
    model = tiny_model(tiny_config(choice, tokenizer), init_seed=choice.init_seed)
    heads = tuple(f"{path}." for path in FAMILIES[source.model_type].head)
    tensors = {name: value for name, value in model.state_dict().items() if not heads or not name.startswith(heads)}
    tensors |= words_head(model.config, model.state_dict(), init_seed=choice.init_seed)
    directory.parent.mkdir(parents=True, exist_ok=True)
    # Another process may be first; what it wrote is the same.
    with atomic.directory(directory, keep=True) as scratch, quiet():
        model.save_pretrained(scratch, state_dict=tensors)
        tokenizer.save_pretrained(scratch)
        (scratch / _HASH).write_text(hash_directory(scratch), encoding="utf-8")
    return directory
