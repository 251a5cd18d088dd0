"""Models: a backbone with its tokenizer, and what is known of each architecture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from finecomb.config.schema.base import option

ATTENTIONS = ("auto", "sdpa", "eager", "flash_attention_2")


@dataclass
class Model:
    """Pre-trained weights."""

    name: str = option("name of the choice")
    name_or_path: Optional[str] = option("a local directory or hub id that replaces `source`", identity=False, identity_as=None)
    source: list[str] = option("where the weights come from, tried in order; empty for a tiny random model", identity=False)
    sha256: Optional[str] = option("hash of the distribution that holds it; null for hub models, whose revision pins them")
    model_type: str = option("architecture, as transformers names it; auto: read from the weights")
    hub_id: Optional[str] = option("name on the hub, written into artifacts", identity=False)
    note: str = option("what a reader of a table must know about these weights", identity=False)
    dropout: Optional[float] = option("dropout of hidden states, attention and head; null: as the weights' config says", low=0.0, high=0.9)
    attention: str = option(
        "implementation of attention, as transformers names it; auto: SDPA where the architecture has it", allowed=ATTENTIONS, before="auto"
    )
    # Not part of the identity: the same gradient, dropout masks included, is computed with less memory in more time.
    gradient_checkpointing: bool = option(
        "keep only the input of each layer for the backward pass and compute the layer again there", identity=False, before=False
    )


@dataclass(frozen=True)
class Family:
    """Names inside an architecture's ...For... classes, as dotted paths from that module.

    embeddings: all below the layers, their dropout included; a path that a config leaves out (ELECTRA's projection) is passed over.
    blocks: the ModuleList of layers, lowest first. final: modules above the layers and below the head that come pre-trained.
    pooler: a pre-trained module between the layers and the head that reads one position.
    head: modules of ...ForSequenceClassification that are newly initialized for a task; `tokens` and `answers` are those of
        ...ForTokenClassification and ...ForQuestionAnswering.
    lora: what tuning=lora adapts by default, as ends of module names.
    padding: the side on which the architecture must be padded. causal: the last real token is pooled.
    unused: tensors that no head reads; they get no gradient and never train.
    attention: implementations of attention that transformers has for the architecture.
    encoder: of an encoder-decoder the ModuleList of the encoder's layers, below those of `blocks`, which are the decoder's.
    stacks: modules that themselves apply dropout to the embeddings.
    """

    embeddings: tuple[str, ...]
    blocks: str
    final: tuple[str, ...]
    pooler: tuple[str, ...]
    head: tuple[str, ...]
    lora: tuple[str, ...]
    padding: str = "right"
    causal: bool = False
    unused: tuple[str, ...] = ()
    attention: tuple[str, ...] = ("sdpa", "eager", "flash_attention_2")
    tokens: tuple[str, ...] = ("classifier",)
    encoder: Optional[str] = None
    stacks: tuple[str, ...] = ()
    answers: tuple[str, ...] = ("qa_outputs",)

    @property
    def architecture(self) -> str:
        """encoder, decoder or encoder_decoder."""
        return "encoder_decoder" if self.encoder else "decoder" if self.causal else "encoder"

    @property
    def lists(self) -> tuple[str, ...]:
        """The ModuleLists of layers, lowest first."""
        return (self.blocks,) if self.encoder is None else (self.encoder, self.blocks)

    def new_modules(self, head: str) -> tuple[str, ...]:
        """Modules that are newly initialized under a head of that kind, whatever the weights hold."""
        return {"sequence_classification": self.head, "token_classification": self.tokens, "question_answering": self.answers}.get(head, ())


FAMILIES = {
    "bert": Family(("bert.embeddings",), "bert.encoder.layer", (), ("bert.pooler",), ("classifier",), ("query", "value")),
    "roberta": Family(("roberta.embeddings",), "roberta.encoder.layer", (), (), ("classifier",), ("query", "value")),
    "xlm-roberta": Family(("roberta.embeddings",), "roberta.encoder.layer", (), (), ("classifier",), ("query", "value")),
    "distilbert": Family(
        ("distilbert.embeddings",), "distilbert.transformer.layer", (), (), ("pre_classifier", "classifier"), ("q_lin", "v_lin")
    ),
    "electra": Family(
        ("electra.embeddings", "electra.embeddings_project"), "electra.encoder.layer", (), (), ("classifier",), ("query", "value")
    ),
    "deberta-v2": Family(
        ("deberta.embeddings", "deberta.encoder.rel_embeddings", "deberta.encoder.LayerNorm"),
        "deberta.encoder.layer", (), (), ("pooler", "classifier"), ("query_proj", "value_proj"), attention=("eager",),
    ),
    "modernbert": Family(
        ("model.embeddings",), "model.layers", ("model.final_norm", "head"), (), ("classifier",), ("Wqkv",), answers=("classifier",)
    ),
    "xlnet": Family(
        ("transformer.word_embedding", "transformer.dropout"), "transformer.layer", (), (),
        # XLNet's attention keeps its maps as bare parameters, which LoRA cannot wrap; the feed-forward maps stand in.
        ("sequence_summary", "logits_proj"), ("ff.layer_1", "ff.layer_2"), padding="left", unused=("transformer.mask_emb",),
        attention=("eager",),
    ),
    "gpt2": Family(
        ("transformer.wte", "transformer.wpe", "transformer.drop"), "transformer.h", ("transformer.ln_f",), (), ("score",), ("c_attn",),
        causal=True,
    ),
    "llama": Family(
        ("model.embed_tokens",), "model.layers", ("model.norm",), (), ("score",), ("q_proj", "v_proj"), causal=True, tokens=("score",),
    ),
    "qwen3": Family(
        ("model.embed_tokens",), "model.layers", ("model.norm",), (), ("score",), ("q_proj", "v_proj"), causal=True, tokens=("score",),
    ),
    "bart": Family(
        ("model.shared", *(f"model.{part}" for part in (
            "encoder.embed_positions", "encoder.layernorm_embedding", "decoder.embed_positions", "decoder.layernorm_embedding",
        ))),
        "model.decoder.layers", (), (), (), ("q_proj", "v_proj"), encoder="model.encoder.layers", stacks=("model.encoder", "model.decoder"),
    ),
    "marian": Family(
        # Sinusoidal positions are stored, and never train.
        ("model.shared",), "model.decoder.layers", (), (), (), ("q_proj", "v_proj"), encoder="model.encoder.layers",
        unused=("model.encoder.embed_positions", "model.decoder.embed_positions"), stacks=("model.encoder", "model.decoder"),
    ),
    "t5": Family(
        # The norm above the encoder is below every layer of the decoder.
        ("shared", "encoder.dropout", "encoder.final_layer_norm"), "decoder.block", ("decoder.final_layer_norm", "decoder.dropout"), (), (),
        ("q", "v"), encoder="encoder.block", attention=("eager",),
    ),
}  # fmt: skip


# Architectures with a head for classes.
CLASSIFIERS = tuple(name for name, family in FAMILIES.items() if family.encoder is None)


@dataclass
class TinyModel(Model):
    """A random model of a few thousand parameters, built from its architecture's config; for tests only."""

    layers: int = option("number of layers", low=1)
    hidden: int = option("hidden size", low=4)
    heads: int = option("number of attention heads", low=1)
    init_seed: int = option("seed of the random weights of the backbone")
    # Runs from before it was a key have it in model_type alone.
    architecture: Optional[str] = option("architecture, as transformers names it", allowed=tuple(FAMILIES), before=None)

    def __post_init__(self) -> None:
        if self.model_type == "auto" and self.architecture is not None:
            self.model_type = self.architecture


@dataclass
class Transformer(Model):
    """An encoder-decoder with random weights, to be trained from the start (Vaswani et al. 2017), as transformers' Marian has it.

    Source and target share one vocabulary; embeddings and output layer share one table. The weights are drawn from the run's seed.
    """

    layers: int = option("layers of the encoder, and of the decoder", low=1)
    hidden: int = option("hidden size", low=4)
    heads: int = option("number of attention heads", low=1)
    intermediate: int = option("width of the feed-forward layers", low=4)
    positions: int = option("most tokens of a source and of a target", low=4)
    tokenizer: str = option("train: byte-level BPE (Sennrich et al. 2016), learned from the texts of the train split", allowed=("train",))
    vocabulary: int = option("tokens of that vocabulary; fewer where the texts do not have so many", low=300)


@dataclass(frozen=True)
class Shape:
    """Sizes of a choice's backbone, as its own config states them; from these its parameters are counted without the weights.

    positions: tokens it takes at most, special ones included; None where positions are relative. position_rows: rows of a learned table.
    embedding: width of the embeddings where it differs from hidden. key_value: width of keys and values where heads share them.
    query: width of all query heads where it differs from hidden. relative_rows: rows of a table of relative positions.
    """

    vocab: int
    hidden: int
    layers: int
    heads: int
    intermediate: int
    positions: Optional[int]
    position_rows: int = 0
    types: int = 0
    embedding: Optional[int] = None
    query: Optional[int] = None
    key_value: Optional[int] = None
    relative_rows: int = 0


# Rows of a tiny model's table of positions.
TINY_POSITIONS = 192

# By choice. Sources: the config.json of each model on the hub; totals are held against the published ones by a test.
SHAPES = {
    "all_minilm_l6_v2": Shape(30522, 384, 6, 12, 1536, 512, position_rows=512, types=2),
    "bert_base": Shape(30522, 768, 12, 12, 3072, 512, position_rows=512, types=2),
    "bert_large": Shape(30522, 1024, 24, 16, 4096, 512, position_rows=512, types=2),
    "bert_base_chinese": Shape(21128, 768, 12, 12, 3072, 512, position_rows=512, types=2),
    "roberta_base": Shape(50265, 768, 12, 12, 3072, 512, position_rows=514, types=1),
    "roberta_large": Shape(50265, 1024, 24, 16, 4096, 512, position_rows=514, types=1),
    "xlm_r_base": Shape(250002, 768, 12, 12, 3072, 512, position_rows=514, types=1),
    "distilbert_base": Shape(30522, 768, 6, 12, 3072, 512, position_rows=512),
    "electra_base": Shape(30522, 768, 12, 12, 3072, 512, position_rows=512, types=2, embedding=768),
    "deberta_v3_base": Shape(128100, 768, 12, 12, 3072, None, relative_rows=512),
    "modernbert_base": Shape(50368, 768, 22, 12, 1152, 8192),
    "xlnet_base": Shape(32000, 768, 12, 12, 3072, None),
    "gpt2": Shape(50257, 768, 12, 12, 3072, 1024, position_rows=1024),
    "smollm2_135m": Shape(49152, 576, 30, 9, 1536, 8192, query=576, key_value=192),
    "qwen3_0_6b": Shape(151936, 1024, 28, 16, 3072, 40960, query=2048, key_value=1024),
    "qwen3_8b": Shape(151936, 4096, 36, 32, 12288, 40960, query=4096, key_value=1024),
}
# sha256 of model.safetensors as the hub states it, for weights that are served elsewhere too: only with these is the hub named as an
# adapter's base.
HUB_WEIGHTS = {"sentence-transformers/all-MiniLM-L6-v2": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"}
# Folder of an adapter's artifact that holds the base's weight files.
EMBEDDED_BASE = "base"

CHOICES = {"pretrained": Model, "tiny": TinyModel, "transformer": Transformer}
