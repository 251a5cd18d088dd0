"""Tokenizers: a small one made in code for tiny models, and the settings that every tokenizer gets before it is used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from finecomb.config.schema.model import Family
from finecomb.core.errors import ConfigError, Problem

VERSION = "1"

# Frequent words, so that tiny models see texts of a few tokens; all else falls apart into characters.
WORDS = (  # noqa: SIM905
    "the an and or but not no of to in on for with as at by from it is was are be this that these you he she we they his her its my your "
    "movie film story plot acting actor scene one two good great best bad worst boring fun funny dull love like hate well very too so more "
    "most less just than what who how all some any never always have has had do does did can will would there here about out up time way"
).split()
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?;:'\"-()/&$%"


@dataclass(frozen=True)
class Specials:
    """The special tokens of an architecture, in the order of their ids, the roles they play, and the templates put around texts."""

    tokens: tuple[str, ...]
    roles: dict[str, str]
    single: str
    pair: str


_BERT = Specials(
    ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"},
    "[CLS]:0 $A:0 [SEP]:0",
    "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
)
_ROBERTA = Specials(
    ("<s>", "<pad>", "</s>", "<unk>", "<mask>"),
    {
        "bos_token": "<s>", "cls_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "sep_token": "</s>",
        "unk_token": "<unk>", "mask_token": "<mask>",
    },
    "<s> $A </s>",
    "<s> $A </s> </s> $B </s>",
)  # fmt: skip
SPECIALS = {
    "bert": _BERT,
    "distilbert": _BERT,
    "electra": _BERT,
    "deberta-v2": _BERT,
    "modernbert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "xlnet": Specials(
        ("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>"),
        {
            "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "cls_token": "<cls>", "sep_token": "<sep>",
            "pad_token": "<pad>", "mask_token": "<mask>",
        },
        "$A:0 <sep>:0 <cls>:2",
        "$A:0 <sep>:0 $B:1 <sep>:1 <cls>:2",
    ),
    # As in the real ones: GPT-2 and Llama have no token for padding, and GPT-2 and Qwen put nothing around a text.
    "gpt2": Specials(("<|endoftext|>",), dict.fromkeys(("unk_token", "bos_token", "eos_token"), "<|endoftext|>"), "$A", "$A $B"),
    "llama": Specials(("<unk>", "<s>", "</s>"), {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}, "<s> $A", "<s> $A <s> $B"),
    "bart": _ROBERTA,
    "marian": Specials(
        ("</s>", "<unk>", "<pad>"), {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}, "$A </s>", "$A $B </s>"
    ),
    "t5": Specials(
        ("<pad>", "</s>", "<unk>"), {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}, "$A </s>", "$A </s> $B </s>"
    ),
    "qwen3": Specials(
        ("<|endoftext|>", "<|im_end|>"),
        {"unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "eos_token": "<|im_end|>"},
        "$A",
        "$A $B",
    ),
}  # fmt: skip


def tiny_tokenizer(model_type: str) -> Any:
    """A lower-casing WordPiece tokenizer over a fixed vocabulary of words and characters, with the architecture's special tokens."""
    specials = SPECIALS[model_type]
    pieces = [*specials.tokens, *LETTERS, *(f"##{letter}" for letter in LETTERS), *WORDS]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=specials.roles["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=specials.single, pair=specials.pair, special_tokens=[(token, vocabulary[token]) for token in specials.tokens]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=int(1e30), **specials.roles)


def load_tokenizer(directory: Path) -> Any:
    """The tokenizer kept beside local weights.

    Raises:
        ConfigError: it is damaged, or needs a package that is not installed.
    """
    try:
        return AutoTokenizer.from_pretrained(str(directory), local_files_only=True)
    except Exception as error:  # tokenizers raises plain ones for a damaged file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            Problem(
                f"the tokenizer cannot be loaded: {reason}",
                str(directory),
                hint="put tokenizer.json beside the weights; sentencepiece models need `pip install finecomb[sentencepiece]`",
            )
        ) from error


def prepare_tokenizer(tokenizer: Any, family: Family, config: Any) -> None:
    """Settle padding and the inputs that the architecture understands, in place.

    A tokenizer without a padding token pads with its end of text: padding is told by the attention mask alone, never by the id.
    Token types are made only where the architecture has an embedding for more than one of them.
    """
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    typed = config.model_type == "xlnet" or (getattr(config, "type_vocab_size", 0) or 0) > 1
    settings = {
        "padding_side": family.padding,
        "truncation_side": "right",
        "model_input_names": ["input_ids", *(["token_type_ids"] if typed else []), "attention_mask"],
    }
    for name, value in settings.items():
        setattr(tokenizer, name, value)
    # Of what was changed after loading, transformers saves only what stands here.
    tokenizer.init_kwargs.update(settings)
