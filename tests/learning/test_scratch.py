"""Models that are trained from the start: weights by the seed, a vocabulary from the training texts, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from finecomb.config.compose import compose
from finecomb.core.errors import ConfigError
from finecomb.learning import model as models
from finecomb.learning.model.scratch import Corpus, trained_tokenizer

TEXTS = ["Zwei Hunde laufen über den Schnee.", "Two dogs run across the snow.", "Ein Mann – mit Hut 文字", "two  spaces"] * 5
SIZES = ["model.layers=1", "model.hidden=16", "model.heads=2", "model.intermediate=32", "model.positions=32", "model.vocabulary=300"]


@pytest.fixture
def _own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path))


def made(seed: int = 0, texts: list[str] = TEXTS, *overrides: str) -> Any:
    base = ["dataset=parallel", "dataset.path=.", "dataset.languages=[en,de]", "model=transformer", *SIZES, *overrides]
    config = compose(base).config.model
    corpus = Corpus(str(hash(tuple(texts))), lambda: texts)
    return models.build(
        config, models.inspect(config), num_outputs=0, label_names=None, problem_type=None, seed=seed, head="seq2seq_lm", corpus=corpus
    )


def test_every_text_survives_its_tokens() -> None:
    tokenizer = trained_tokenizer(TEXTS, 320)
    assert len(tokenizer) <= 320
    for text in [*TEXTS[:4], "Ω unseen letters 🐕", "a\nb"]:
        ids = tokenizer(text)["input_ids"]
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True).removeprefix(" ") == text


def test_a_vocabulary_is_learned_alike_each_time() -> None:
    assert trained_tokenizer(TEXTS, 320).get_vocab() == trained_tokenizer(iter(TEXTS), 320).get_vocab()


@pytest.mark.usefixtures("_own")
def test_weights_depend_on_the_seed_and_the_vocabulary_on_the_texts() -> None:
    torch.manual_seed(1)
    one, same, other = made().model.state_dict(), made().model.state_dict(), made(seed=1).model.state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    table = "model.shared.weight"
    assert not torch.equal(one[table], other[table])
    others = made(texts=["other texts altogether, with other pairs of letters"] * 9)
    assert others.tokenizer.get_vocab() != made().tokenizer.get_vocab()


@pytest.mark.usefixtures("_own")
def test_sizes_are_those_of_the_config_and_all_tables_are_one() -> None:
    backbone = made()
    config = backbone.model.config
    assert (config.d_model, config.encoder_layers, config.decoder_layers, config.max_position_embeddings) == (16, 1, 1, 32)
    assert backbone.model.lm_head.weight is backbone.model.model.shared.weight
    assert config.decoder_start_token_id == config.pad_token_id == backbone.tokenizer.pad_token_id
    assert config.vocab_size == len(backbone.tokenizer)
    assert backbone.max_positions == 32


@pytest.mark.usefixtures("_own")
def test_dropout_is_set_without_leaving_layers_out() -> None:
    config = made(0, TEXTS, "model.dropout=0.3").model.config
    assert (config.dropout, config.encoder_layerdrop, config.decoder_layerdrop) == (0.3, 0.0, 0.0)


def test_a_hidden_size_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="hidden size 15 over 2 heads"):
        made(0, TEXTS, "model.hidden=15")
