"""Sources to targets: encoding, the decoder's inputs, losses as the architectures have them, and templates for decoder-only models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch.nn import functional as F

from finecomb.config.schema import task as schema
from finecomb.core.errors import ConfigError
from finecomb.learning import loss as losses
from finecomb.learning import task
from finecomb.learning.model.tokenizer import tiny_tokenizer
from finecomb.learning.task.next_tokens import BYTES, SCORED, UNSCORED
from finecomb.learning.task.seq2seq import LABELS

SOURCES = ["a good movie", "the worst film i have ever seen", "fun"]
TARGETS = ["great", "bad movie and a very boring story", "love it so much"]
CROSS_ENTROPY = losses.CrossEntropy(0.0, None)


def tokenizer() -> Any:
    """A tokenizer that puts <s> and </s> around a text, as BART's does."""
    made = tiny_tokenizer("roberta")
    made.padding_side, made.truncation_side, made.model_input_names = "right", "right", ["input_ids", "attention_mask"]
    return made


def model(architecture: str) -> Any:
    """A tiny encoder-decoder for that tokenizer, in float64."""
    words = tokenizer()
    ids = dict(pad_token_id=words.pad_token_id, bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id)
    layers = dict(encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32)
    sizes = dict(vocab_size=len(words), d_model=16, decoder_ffn_dim=32, max_position_embeddings=64, init_std=0.5, **layers, **ids)
    torch.manual_seed(0)
    made: Any
    if architecture == "bart":
        made = transformers.BartForConditionalGeneration(transformers.BartConfig(**sizes, decoder_start_token_id=words.eos_token_id))
    elif architecture == "marian":
        made = transformers.MarianMTModel(transformers.MarianConfig(**sizes, decoder_start_token_id=words.pad_token_id))
    else:
        config = transformers.T5Config(
            vocab_size=len(words), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=words.pad_token_id, **ids
        )
        made = transformers.T5ForConditionalGeneration(config)
    return made.double().eval()


def runner(**settings: Any) -> Any:
    """The task, whose targets have up to 20 tokens by default."""
    most = settings.pop("max_target_length", 20)
    config = schema.SequenceToSequence(**{"name": "seq2seq", "source_prefix": "", "template": None, **settings})
    return task.build(config, label_kind="target", label_names=None, max_target_length=most)


def rows_of(encoded: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [{name: column[row] for name, column in encoded.items()} for row in range(len(encoded["input_ids"]))]


def batch_of(made: Any, words: Any, sources: list[str] = SOURCES, targets: list[str] = TARGETS) -> Any:
    rows = rows_of(made.encode(words, {"text": sources, "label": targets}, 30))
    return made.collate(words, rows, targets)


@pytest.mark.parametrize("architecture", ["bart", "t5", "marian"])
def test_decoder_inputs_and_loss_are_those_of_the_model_itself(architecture: str) -> None:
    core, words, made = model(architecture), tokenizer(), runner()
    made.bind(words, core.config)
    batch = batch_of(made, words)
    assert bool((batch.targets == UNSCORED).any()), "the test needs padding"
    inputs = batch.inputs
    assert torch.equal(inputs["decoder_input_ids"], core.prepare_decoder_input_ids_from_labels(batch.targets))
    assert not bool((inputs["decoder_input_ids"] == UNSCORED).any())
    expected = core(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=batch.targets).loss
    items = made.items(core(**inputs).logits, batch)
    values, weights = CROSS_ENTROPY(items.logits, items.targets)
    assert float((values * weights).sum() / weights.sum()) == pytest.approx(float(expected), abs=1e-9)
    kept = made.reduce(core(**inputs).logits, batch, CROSS_ENTROPY)
    of_rows, counts = made.losses(kept, {"label": TARGETS}, CROSS_ENTROPY)
    assert float((of_rows * counts).sum() / counts.sum()) == pytest.approx(float(expected), abs=1e-9)
    assert counts.tolist() == [len(words(target)["input_ids"]) for target in TARGETS]


def test_a_loss_of_padding_and_company_does_not_move() -> None:
    core, words, made = model("bart"), tokenizer(), runner()
    made.bind(words, core.config)

    def kept(positions: list[int]) -> Any:
        batch = batch_of(made, words, [SOURCES[at] for at in positions], [TARGETS[at] for at in positions])
        return made.reduce(core(**batch.inputs).logits, batch, CROSS_ENTROPY)

    assert torch.allclose(kept([0, 1, 2]), torch.cat([kept([0]), kept([1]), kept([2])]), atol=1e-9)


def test_label_smoothing_counts_scored_tokens_alone() -> None:
    core, words, made = model("bart"), tokenizer(), runner()
    made.bind(words, core.config)
    batch = batch_of(made, words)
    logits = core(**batch.inputs).logits
    expected = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=UNSCORED, label_smoothing=0.1)
    items = made.items(logits, batch)
    values, weights = losses.CrossEntropy(0.1, None)(items.logits, items.targets)
    assert float((values * weights).sum() / weights.sum()) == pytest.approx(float(expected), abs=1e-9)


def test_sources_and_targets_are_cut_apart_and_both_cuts_are_counted() -> None:
    words, made = tokenizer(), runner(max_target_length=4)
    made.bind(words, model("bart").config)
    encoded = made.encode(words, {"text": SOURCES, "label": TARGETS}, 6)
    assert [len(ids) for ids in encoded["input_ids"]] == [5, 6, 3]
    assert encoded["truncated"] == [0, len(words(SOURCES[1])["input_ids"]) - 6, 0]
    assert [len(ids) for ids in encoded[LABELS]] == [3, 4, 4]
    assert encoded["truncated_target"] == [max(len(words(target)["input_ids"]) - 4, 0) for target in TARGETS]
    assert all(ids[-1] == words.eos_token_id for ids in encoded[LABELS])
    assert encoded[BYTES][0] == [len(TARGETS[0])]


def test_without_labels_there_are_sources_alone() -> None:
    words, made = tokenizer(), runner(source_prefix="the story: ")
    made.bind(words, model("bart").config)
    encoded = made.encode(words, {"text": SOURCES}, 30)
    assert set(encoded) == {"input_ids", "attention_mask", "truncated"}
    assert encoded["input_ids"][2] == words("the story: fun")["input_ids"]
    prompts = made.prompts(words, rows_of(encoded))
    with_labels = made.encode(words, {"text": SOURCES, "label": TARGETS}, 30)
    assert all(torch.equal(prompts[name], made.prompts(words, rows_of(with_labels))[name]) for name in prompts)


def test_a_model_that_names_no_start_and_a_tokenizer_without_an_end_are_refused() -> None:
    words, config = tokenizer(), model("bart").config
    config.decoder_start_token_id = config.bos_token_id = None
    with pytest.raises(ConfigError, match="starts"):
        runner().bind(words, config)
    words.eos_token = None
    with pytest.raises(ConfigError, match="no token that ends"):
        runner().bind(words, model("bart").config)


TEMPLATE = "story {source} plot {target} fun"


def decoder_words() -> Any:
    made = tiny_tokenizer("llama")
    made.pad_token, made.padding_side, made.truncation_side = made.eos_token, "right", "right"
    made.model_input_names = ["input_ids", "attention_mask"]
    return made


def test_a_template_has_the_source_before_the_target_and_scores_the_target() -> None:
    words, made = decoder_words(), runner(template=TEMPLATE, source_prefix="the ")
    made.bind(words, transformers.LlamaConfig(vocab_size=len(words)))
    encoded = made.encode(words, {"text": SOURCES, "label": TARGETS}, 30)
    ids, scored = encoded["input_ids"][0], encoded[SCORED][0]
    prompt = [token for token, flag in zip(ids, scored, strict=True) if not flag]
    target = [token for token, flag in zip(ids, scored, strict=True) if flag]
    assert prompt == words("story the a good movie plot ")["input_ids"]
    assert target == [*words("great fun", add_special_tokens=False)["input_ids"], words.eos_token_id]
    alone = made.encode(words, {"text": SOURCES}, 30)
    assert alone["input_ids"][0] == prompt
    prompts = made.prompts(words, rows_of(encoded))
    assert prompts["input_ids"][0][prompts["attention_mask"][0] > 0].tolist() == prompt


def test_a_line_end_is_written_as_in_a_string() -> None:
    words, made = decoder_words(), runner(template=r"{source}\n{target}")
    made.bind(words, transformers.LlamaConfig(vocab_size=len(words)))
    assert made.encode(words, {"text": ["fun"]}, 30)["input_ids"][0] == words("fun\n")["input_ids"]


def test_a_long_source_is_cut_and_the_template_is_not() -> None:
    words, made = decoder_words(), runner(template=TEMPLATE, max_target_length=3)
    made.bind(words, transformers.LlamaConfig(vocab_size=len(words)))
    whole = words("story the worst film i have ever seen plot ")["input_ids"]
    encoded = made.encode(words, {"text": [SOURCES[1]], "label": [TARGETS[1]]}, 6)
    ids = [token for token, flag in zip(encoded["input_ids"][0], encoded[SCORED][0], strict=True) if not flag]
    assert ids == [*whole[:5], whole[-1]]
    assert encoded["truncated"] == [len(whole) - 6]
    assert sum(encoded[SCORED][0]) == 3
    assert encoded["truncated_target"][0] > 0


def test_generated_text_ends_before_what_the_template_has_behind_the_target() -> None:
    words, made = decoder_words(), runner(template=TEMPLATE)
    made.bind(words, transformers.LlamaConfig(vocab_size=len(words)))
    assert made.text(words("great plot fun", add_special_tokens=False)["input_ids"]) == "great plot"


def test_facts_and_task_name_the_same_metrics() -> None:
    for variant, made in {"seq2seq": runner(), "seq2seq template": runner(template=TEMPLATE)}.items():
        facts = schema.FACTS[variant]
        assert facts.generated == made.generation_metrics
        assert set(facts.generated) < set(facts.metrics)
        assert facts.head == made.head
