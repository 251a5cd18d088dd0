"""From token ids to logits, the same whatever the padding: its side, its amount, and whether its id also stands in the text."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from finecomb.config.schema.model import FAMILIES

VERSION = "1"

DECODER = "decoder_"
"""Beginning of the names of inputs that only the decoder of an encoder-decoder reads."""


def align(inputs: dict[str, Tensor], side: str) -> dict[str, Tensor]:
    """Move every row's padding to `side`, keeping the order of its real tokens.

    inputs: tensors of shape [B, L, ...], among them attention_mask with one run of ones in each row.
    Positions counted from the first column, and heads that read the first or last column, are then right for every row.
    """
    mask = inputs["attention_mask"]
    length = mask.shape[1]
    columns = torch.arange(length, device=mask.device)
    present = mask > 0
    first = present.to(torch.int64).argmax(1, keepdim=True)
    shift = first if side == "right" else first + present.sum(1, keepdim=True) - length
    source = (columns + shift) % length
    aligned = {}
    for name, tensor in inputs.items():
        index = source.view(*source.shape, *([1] * (tensor.dim() - 2))).expand_as(tensor)
        aligned[name] = tensor.gather(1, index)
    return aligned


def classify(model: Any, inputs: dict[str, Tensor]) -> Tensor:
    """Logits [B, K] of a ...ForSequenceClassification.

    inputs: input_ids [B, L] or inputs_embeds [B, L, H], attention_mask [B, L], and token_type_ids [B, L] where the architecture has them.
    Encoders are read where their head reads: the first token, for XLNet the last. Decoders are read at the last token that the
    attention mask calls real; transformers looks for the padding id instead, and so misreads a text that ends with it.
    """
    family = FAMILIES[model.config.model_type]
    aligned = align(inputs, family.padding)
    if not family.causal:
        extra = {"use_mems": False} if model.config.model_type == "xlnet" else {}
        return model(**aligned, **extra).logits
    decoder = getattr(model, model.base_model_prefix)
    hidden_states = decoder(**aligned, use_cache=False).last_hidden_state
    last = (aligned["attention_mask"] > 0).sum(1).clamp(min=1) - 1
    pooled = hidden_states[torch.arange(len(last), device=last.device), last]
    return model.score(pooled)


def with_prompt(model: Any, core: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Inputs with the virtual tokens of a PEFT prompt model before each row's first real token.

    inputs: input_ids, attention_mask and perhaps token_type_ids, each [B, L], padded on either side. Returned: inputs_embeds
    [B, P + L, H] and the others [B, P + L], padded on the right. The virtual tokens are real to the mask, and of token type 0.
    Inputs of a decoder are left as they are: the virtual tokens are the encoder's.
    """
    aligned = align({name: tensor for name, tensor in inputs.items() if not name.startswith(DECODER)}, "right")
    embeddings = core.get_input_embeddings()(aligned.pop("input_ids"))
    prompt = model.prompt_encoder["default"].embedding.weight.to(embeddings.dtype)
    rows, length = len(embeddings), len(prompt)
    extended = {"inputs_embeds": torch.cat((prompt.expand(rows, -1, -1), embeddings), 1)}
    for name, tensor in aligned.items():
        value = 1 if name == "attention_mask" else 0
        extended[name] = torch.cat((tensor.new_full((rows, length), value), tensor), 1)
    return extended | {name: tensor for name, tensor in inputs.items() if name.startswith(DECODER)}
