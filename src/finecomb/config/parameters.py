"""Parameters counted from sizes alone, for `explain`: how many a model has, and how many a tuning method trains.

A model is a list of pieces under the names that its architecture gives them; tests hold the counts against models that are built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from finecomb.config.schema.model import FAMILIES, Shape
from finecomb.config.schema.tuning import BitFit, Full, Head, Lora, Prompt, TopLayers, Tuning


@dataclass(frozen=True)
class Piece:
    """A linear map (inputs x outputs), a table or vectors; `name` as the architecture has it. biases: numbers in bias vectors."""

    name: str
    weights: int
    biases: int = 0
    inputs: int = 0
    outputs: int = 0

    @property
    def count(self) -> int:
        """All its numbers."""
        return self.weights + self.biases


@dataclass(frozen=True)
class Parts:
    """A classifier from bottom to top. first_layer: the lowest layer where it differs from the others."""

    embeddings: tuple[Piece, ...]
    layer: tuple[Piece, ...]
    layers: int
    head: tuple[Piece, ...]
    final: tuple[Piece, ...] = ()
    pooler: tuple[Piece, ...] = ()
    first_layer: tuple[Piece, ...] | None = None
    unused: tuple[Piece, ...] = ()

    def all_layers(self) -> list[tuple[Piece, ...]]:
        """Lowest first."""
        lowest = self.layer if self.first_layer is None else self.first_layer
        return [lowest, *([self.layer] * (self.layers - 1))]

    def pieces(self) -> list[Piece]:
        """Everything."""
        inner = [piece for layer in self.all_layers() for piece in layer]
        return [*self.embeddings, *self.unused, *inner, *self.final, *self.pooler, *self.head]


@dataclass(frozen=True)
class Parameters:
    """total: with what the tuning method adds. trainable: those that get a gradient."""

    total: int
    trainable: int


def linear(name: str, inputs: int, outputs: int, *, bias: bool = True) -> Piece:
    """A linear map."""
    return Piece(name, inputs * outputs, outputs if bias else 0, inputs, outputs)


def norm(name: str, width: int, *, bias: bool = True) -> Piece:
    """A layer norm, or without bias an RMS norm."""
    return Piece(name, width, width if bias else 0)


def table(name: str, rows: int, width: int) -> Piece:
    """An embedding table."""
    return Piece(name, rows * width)


def count(model_type: str, shape: Shape, tuning: Tuning, num_outputs: int) -> Parameters | None:
    """Parameters of a classifier with `num_outputs` outputs; None for an architecture or method that is not known here."""
    if model_type not in _ARCHITECTURES:
        return None
    parts = _ARCHITECTURES[model_type](shape, num_outputs)
    total = _sum(parts.pieces())
    trained = _trained(parts, model_type, shape, tuning)
    if trained is None:
        return None
    added = trained - _sum(parts.head) if isinstance(tuning, Lora | Prompt) else 0
    return Parameters(total + added, trained)


def layer_parameters(model_type: str, shape: Shape) -> int:
    """Parameters of the layers alone: what every token is multiplied with."""
    return sum(_sum(layer) for layer in _ARCHITECTURES[model_type](shape, 1).all_layers())


def linear_maps(model_type: str) -> list[str]:
    """Names within a layer of its linear maps, which `tuning.target_modules` may name; empty for an architecture not known here."""
    if model_type not in _ARCHITECTURES:
        return []
    # Names do not depend on sizes.
    layer = _ARCHITECTURES[model_type](Shape(8, 8, 1, 1, 8, 8), 1).layer
    return [piece.name for piece in layer if piece.inputs]


def _trained(parts: Parts, model_type: str, shape: Shape, tuning: Tuning) -> int | None:
    head = _sum(parts.head)
    match tuning:
        case Full():
            return _sum(parts.pieces()) - _sum(parts.unused)
        case Head():
            return head + (_sum(parts.pooler) if tuning.pooler else 0)
        case TopLayers():
            top = parts.all_layers()[max(0, parts.layers - tuning.k) :] if tuning.k else []
            counted = head + sum(_sum(layer) for layer in top)
            counted += _sum(parts.embeddings) if tuning.embeddings else 0
            return counted + (_sum(parts.pooler) + _sum(parts.final) if tuning.pooler else 0)
        case BitFit():
            return head + sum(piece.biases for piece in parts.pieces() if piece not in parts.head)
        case Lora():
            return head + _lora(parts, model_type, tuning)
        case Prompt():
            return head + tuning.num_virtual_tokens * (shape.embedding or shape.hidden)
    return None


def _lora(parts: Parts, model_type: str, tuning: Lora) -> int:
    targets = list(FAMILIES[model_type].lora) if tuning.target_modules == "auto" else tuning.target_modules
    maps = [piece for layer in parts.all_layers() for piece in layer if piece.inputs]
    if targets != "all-linear":
        maps = [piece for piece in maps if any(piece.name == target or piece.name.endswith(f".{target}") for target in targets)]
    return sum(tuning.r * (piece.inputs + piece.outputs) for piece in maps)


def _sum(pieces: tuple[Piece, ...] | list[Piece]) -> int:
    return sum(piece.count for piece in pieces)


# Architectures


def _encoder_embeddings(shape: Shape) -> tuple[Piece, ...]:
    width = shape.embedding or shape.hidden
    tables = (("word_embeddings", shape.vocab), ("position_embeddings", shape.position_rows), ("token_type_embeddings", shape.types))
    return (*(table(name, rows, width) for name, rows in tables), norm("LayerNorm", width))


def _encoder_layer(shape: Shape, *, names: tuple[str, ...] = ("query", "key", "value")) -> tuple[Piece, ...]:
    hidden = shape.hidden
    return (
        *(linear(f"attention.self.{name}", hidden, hidden) for name in names),
        linear("attention.output.dense", hidden, hidden),
        norm("attention.output.LayerNorm", hidden),
        linear("intermediate.dense", hidden, shape.intermediate),
        linear("output.dense", shape.intermediate, hidden),
        norm("output.LayerNorm", hidden),
    )


def _two_layer_head(shape: Shape, num_outputs: int) -> tuple[Piece, ...]:
    return linear("dense", shape.hidden, shape.hidden), linear("classifier", shape.hidden, num_outputs)


def _bert(shape: Shape, num_outputs: int) -> Parts:
    return Parts(
        _encoder_embeddings(shape),
        _encoder_layer(shape),
        shape.layers,
        head=(linear("classifier", shape.hidden, num_outputs),),
        pooler=(linear("pooler.dense", shape.hidden, shape.hidden),),
    )


def _roberta(shape: Shape, num_outputs: int) -> Parts:
    return Parts(_encoder_embeddings(shape), _encoder_layer(shape), shape.layers, head=_two_layer_head(shape, num_outputs))


def _electra(shape: Shape, num_outputs: int) -> Parts:
    narrow = shape.embedding is not None and shape.embedding != shape.hidden
    project = (linear("embeddings_project", shape.embedding or 0, shape.hidden),) if narrow else ()
    embeddings = (*_encoder_embeddings(shape), *project)
    return Parts(embeddings, _encoder_layer(shape), shape.layers, head=_two_layer_head(shape, num_outputs))


def _distilbert(shape: Shape, num_outputs: int) -> Parts:
    hidden = shape.hidden
    layer = (
        *(linear(f"attention.{name}", hidden, hidden) for name in ("q_lin", "k_lin", "v_lin", "out_lin")),
        norm("sa_layer_norm", hidden),
        linear("ffn.lin1", hidden, shape.intermediate),
        linear("ffn.lin2", shape.intermediate, hidden),
        norm("output_layer_norm", hidden),
    )
    return Parts(_encoder_embeddings(shape), layer, shape.layers, head=_two_layer_head(shape, num_outputs))


def _deberta(shape: Shape, num_outputs: int) -> Parts:
    relative = (table("rel_embeddings", shape.relative_rows, shape.hidden), norm("encoder.LayerNorm", shape.hidden))
    layer = _encoder_layer(shape, names=("query_proj", "key_proj", "value_proj"))
    return Parts((*_encoder_embeddings(shape), *relative), layer, shape.layers, head=_two_layer_head(shape, num_outputs))


def _modernbert(shape: Shape, num_outputs: int) -> Parts:
    hidden = shape.hidden
    rest = (
        linear("attn.Wqkv", hidden, 3 * hidden, bias=False),
        linear("attn.Wo", hidden, hidden, bias=False),
        norm("mlp_norm", hidden, bias=False),
        linear("mlp.Wi", hidden, 2 * shape.intermediate, bias=False),
        linear("mlp.Wo", shape.intermediate, hidden, bias=False),
    )
    return Parts(
        (table("tok_embeddings", shape.vocab, hidden), norm("norm", hidden, bias=False)),
        (norm("attn_norm", hidden, bias=False), *rest),
        shape.layers,
        head=(linear("classifier", hidden, num_outputs),),
        final=(
            norm("final_norm", hidden, bias=False),
            linear("head.dense", hidden, hidden, bias=False),
            norm("head.norm", hidden, bias=False),
        ),
        # The embeddings are normed already, so the lowest layer has no norm before its attention.
        first_layer=rest,
    )


def _xlnet(shape: Shape, num_outputs: int) -> Parts:
    hidden = shape.hidden
    layer = (
        *(table(f"rel_attn.{name}", hidden, hidden) for name in "qkvor"),
        *(Piece(f"rel_attn.{name}", 0, hidden) for name in ("r_r_bias", "r_s_bias", "r_w_bias")),
        table("rel_attn.seg_embed", 2, hidden),
        norm("rel_attn.layer_norm", hidden),
        norm("ff.layer_norm", hidden),
        linear("ff.layer_1", hidden, shape.intermediate),
        linear("ff.layer_2", shape.intermediate, hidden),
    )
    return Parts(
        (table("word_embedding", shape.vocab, hidden),),
        layer,
        shape.layers,
        head=_two_layer_head(shape, num_outputs),
        unused=(Piece("mask_emb", hidden),),
    )


def _gpt2(shape: Shape, num_outputs: int) -> Parts:
    hidden = shape.hidden
    layer = (
        norm("ln_1", hidden),
        linear("attn.c_attn", hidden, 3 * hidden),
        linear("attn.c_proj", hidden, hidden),
        norm("ln_2", hidden),
        linear("mlp.c_fc", hidden, shape.intermediate),
        linear("mlp.c_proj", shape.intermediate, hidden),
    )
    return Parts(
        (table("wte", shape.vocab, hidden), table("wpe", shape.position_rows, hidden)),
        layer,
        shape.layers,
        head=(linear("score", hidden, num_outputs, bias=False),),
        final=(norm("ln_f", hidden),),
    )


def _llama(shape: Shape, num_outputs: int, *, head_norms: bool = False) -> Parts:
    hidden, query, key_value = shape.hidden, shape.query or shape.hidden, shape.key_value or shape.hidden
    maps = (
        ("self_attn.q_proj", hidden, query),
        ("self_attn.k_proj", hidden, key_value),
        ("self_attn.v_proj", hidden, key_value),
        ("self_attn.o_proj", query, hidden),
        ("mlp.gate_proj", hidden, shape.intermediate),
        ("mlp.up_proj", hidden, shape.intermediate),
        ("mlp.down_proj", shape.intermediate, hidden),
    )
    norms = [("input_layernorm", hidden), ("post_attention_layernorm", hidden)]
    norms += [("self_attn.q_norm", query // shape.heads), ("self_attn.k_norm", query // shape.heads)] if head_norms else []
    return Parts(
        (table("embed_tokens", shape.vocab, hidden),),
        (*(linear(*sizes, bias=False) for sizes in maps), *(norm(name, width, bias=False) for name, width in norms)),
        shape.layers,
        head=(linear("score", hidden, num_outputs, bias=False),),
        final=(norm("norm", hidden, bias=False),),
    )


def _qwen3(shape: Shape, num_outputs: int) -> Parts:
    return _llama(shape, num_outputs, head_norms=True)


_ARCHITECTURES: dict[str, Callable[[Shape, int], Parts]] = {
    "bert": _bert,
    "roberta": _roberta,
    "xlm-roberta": _roberta,
    "distilbert": _distilbert,
    "electra": _electra,
    "deberta-v2": _deberta,
    "modernbert": _modernbert,
    "xlnet": _xlnet,
    "gpt2": _gpt2,
    "llama": _llama,
    "qwen3": _qwen3,
}
