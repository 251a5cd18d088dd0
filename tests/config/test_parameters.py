"""Counts from sizes alone are those of the models themselves."""

import pytest

from finecomb.config.compose import compose
from finecomb.config.parameters import _ARCHITECTURES, count, linear_maps
from finecomb.config.schema.model import SHAPES, TINY_POSITIONS, Model, Shape
from finecomb.config.schema.tuning import BitFit, Full, Head, Lora, Prompt, TopLayers
from finecomb.config.sources import options, read, schema_of

# Without the new head; as published with each checkpoint (BERT with its pooler, decoders without their tied output layer).
PUBLISHED = {
    "all_minilm_l6_v2": 22_713_216,
    "bert_base": 109_482_240,
    "bert_large": 335_141_888,
    "bert_base_chinese": 102_267_648,
    "roberta_base": 124_055_040,
    "roberta_large": 354_310_144,
    "xlm_r_base": 277_453_056,
    "distilbert_base": 66_362_880,
    "electra_base": 108_891_648,
    "deberta_v3_base": 183_831_552,
    "modernbert_base": 149_014_272 + 768 * 768 + 768,
    "xlnet_base": 116_718_336,
    "gpt2": 124_439_808,
    "smollm2_135m": 134_515_008,
    "qwen3_0_6b": 596_049_920,
    "qwen3_8b": 7_568_405_504,  # 8,190,735,360 less the output layer of the language model
}
TUNINGS = [
    Full("full", "eval"),
    Head("head", "eval", pooler=False),
    Head("head", "eval", pooler=True),
    TopLayers("top_layers", "eval", k=1, embeddings=False, pooler=True),
    TopLayers("top_layers", "eval", k=2, embeddings=True, pooler=False),
    TopLayers("top_layers", "eval", k=0, embeddings=False, pooler=False),
    BitFit("bitfit", "eval"),
    Lora("lora", "eval", r=3, lora_alpha=6.0, lora_dropout=0.0, target_modules="auto", use_rslora=False),
    Lora("lora", "eval", r=2, lora_alpha=4.0, lora_dropout=0.0, target_modules="all-linear", use_rslora=False),
    Prompt("prompt", "eval", num_virtual_tokens=5, prompt_tuning_init="RANDOM"),
]


def _type(choice: str) -> str:
    return str(read(options("model")[choice]).entries["model_type"].value)


@pytest.mark.parametrize("choice", SHAPES)
def test_backbone_has_the_published_number_of_parameters(choice):
    shape = SHAPES[choice]
    parts = _ARCHITECTURES[_type(choice)](shape, 2)
    assert sum(piece.count for piece in parts.pieces()) - sum(piece.count for piece in parts.head) == PUBLISHED[choice]


def test_every_pretrained_choice_has_its_sizes():
    pretrained = {name for name, path in options("model").items() if schema_of("model", path) is Model}
    assert set(SHAPES) == set(PUBLISHED) == pretrained


def _shape_of(config: object) -> Shape:
    """Sizes of a built model's own config."""
    get = lambda *names: next((getattr(config, name) for name in names if getattr(config, name, None) is not None), 0)  # noqa: E731
    kind = config.model_type
    hidden, heads = get("hidden_size", "dim", "d_model", "n_embd"), get("num_attention_heads", "n_heads", "n_head")
    width = get("head_dim") or hidden // heads
    learned = kind in ("bert", "roberta", "xlm-roberta", "distilbert", "electra", "gpt2")
    return Shape(
        vocab=config.vocab_size,
        hidden=hidden,
        layers=get("num_hidden_layers", "n_layers", "n_layer"),
        heads=heads,
        intermediate=get("intermediate_size", "hidden_dim", "d_inner") or 4 * hidden,
        positions=None,
        position_rows=get("max_position_embeddings", "n_positions") if learned else 0,
        types=get("type_vocab_size") if kind in ("bert", "roberta", "xlm-roberta", "electra") else 0,
        embedding=get("embedding_size") or None,
        query=heads * width,
        key_value=get("num_key_value_heads") * width or None,
        relative_rows=2 * get("position_buckets"),
    )


@pytest.mark.parametrize("kind", _ARCHITECTURES)
def test_names_of_linear_maps_are_those_of_a_built_model(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path))
    from finecomb.learning.model import build, inspect
    from finecomb.learning.tuning.lora import target_modules

    choice = compose(["model=tiny", f"model.architecture={kind}"]).config.model
    backbone = build(choice, inspect(choice), num_outputs=3, label_names=None, problem_type="single_label_classification", seed=0)
    assert sorted(target_modules(backbone, "all-linear")) == sorted(linear_maps(kind))


@pytest.mark.parametrize("kind", _ARCHITECTURES)
def test_counts_are_those_of_a_built_and_tuned_model(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path))
    from finecomb.core.errors import ConfigError
    from finecomb.learning import tuning as methods
    from finecomb.learning.model import build, inspect

    choice = compose(["model=tiny", f"model.architecture={kind}"]).config.model
    source = inspect(choice)
    for config in TUNINGS:
        backbone = build(choice, source, num_outputs=3, label_names=None, problem_type="single_label_classification", seed=0)
        shape = _shape_of(backbone.model.config)
        if kind == "bert":
            # Validation refuses longer texts than this.
            assert shape.position_rows == TINY_POSITIONS
        try:
            tuned = methods.build(config).apply(backbone, seed=0)
        except ConfigError:
            # An architecture without biases has nothing for this method to train.
            assert isinstance(config, BitFit)
            continue
        parameters = dict(tuned.model.named_parameters())
        trainable = sum(parameters[name].numel() for name in tuned.trainable)
        counted = count(kind, shape, config, 3)
        assert counted is not None
        assert counted.trainable == trainable, config
        if not isinstance(config, Lora | Prompt):
            # PEFT keeps a second copy of the head, which is no parameter of the model that is used.
            assert counted.total == sum(parameter.numel() for parameter in parameters.values()), config
