"""Generated texts depend on the prompt and the settings alone: not on padding, company or the weights' own generation settings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from finecomb.config.compose import compose
from finecomb.config.schema.train import USUAL_GENERATION
from finecomb.learning import model as models
from finecomb.learning import tuning
from finecomb.learning.generation import NOTHING, Generator
from finecomb.learning.model.tiny import tiny_directory

LENGTHS = (3, 11, 1, 7, 11, 5)
NEW = 12
SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beams": {"num_beams": 3, "length_penalty": 2.0, "no_repeat_ngram_size": 2},
    "drawn": {"do_sample": True, "top_p": 0.8, "temperature": 0.7, "seed": 5},
}
TUNINGS = {"full": (), "lora": ("tuning.r=2",), "prompt": ("tuning.num_virtual_tokens=3",)}


def words_directory(folder: Path, architecture: str) -> Path:
    """A tiny decoder whose weights hold a head for words."""
    choice = compose(["model=tiny", f"model.architecture={architecture}"]).config.model
    directory, target = tiny_directory(choice, models.inspect(choice)), folder / architecture
    torch.manual_seed(0)
    config = transformers.AutoConfig.from_pretrained(directory)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(target)
    transformers.AutoTokenizer.from_pretrained(directory).save_pretrained(target)
    return target


def decoder(folder: Path, architecture: str, method: str) -> Any:
    """A tuned tiny decoder in float64, whose added tensors are not zero."""
    path = words_directory(folder, architecture)
    config = compose(
        ["model=tiny", f"model.name_or_path={path}", f"model.architecture={architecture}", f"tuning={method}", *TUNINGS[method]]
    ).config
    backbone = models.build(
        config.model, models.inspect(config.model), num_outputs=0, label_names=None, problem_type=None, seed=0, head="causal_lm"
    )
    tuned = tuning.build(config.tuning).apply(backbone, seed=0)
    for name, parameter in tuned.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    tuned.model.double().eval()
    return tuned


@dataclasses.dataclass
class Plain:
    """An encoder-decoder as it is."""

    core: Any

    def adapt(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return inputs


def encoder_decoder(architecture: str) -> Plain:
    torch.manual_seed(0)
    layers = dict(encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32)
    sizes = dict(vocab_size=50, d_model=16, decoder_ffn_dim=32, max_position_embeddings=64, init_std=0.5, **layers)
    model: Any
    if architecture == "bart":
        model = transformers.BartForConditionalGeneration(transformers.BartConfig(**sizes))
    elif architecture == "marian":
        ids = dict(pad_token_id=49, decoder_start_token_id=49, eos_token_id=0, forced_eos_token_id=0)
        model = transformers.MarianMTModel(transformers.MarianConfig(**sizes, **ids))
    else:
        config = transformers.T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0)
        model = transformers.T5ForConditionalGeneration(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return Plain(model.double().eval())


def prompts(side: str, rows: list[Tensor]) -> dict[str, Tensor]:
    """The rows as one batch, padded by two tokens more than is needed."""
    length = max(map(len, rows)) + 2
    ids, mask = torch.full((len(rows), length), 7), torch.zeros(len(rows), length, dtype=torch.int64)
    for row, tokens in enumerate(rows):
        place = slice(length - len(tokens), length) if side == "left" else slice(0, len(tokens))
        ids[row, place], mask[row, place] = tokens, 1
    return {"input_ids": ids, "attention_mask": mask}


def rows_of_tokens() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(3, 48, (length,), generator=generator) for length in LENGTHS]


def check(model: Any, name: str) -> None:
    settings = dataclasses.replace(USUAL_GENERATION, **SETTINGS[name])
    write = Generator(model, settings, max_new_tokens=NEW, stops=(5, 9))
    rows = rows_of_tokens()
    alone = torch.cat([write(prompts("right", [row])) for row in rows])
    assert alone.shape == (len(rows), NEW)
    assert len({tuple(row) for row in alone.tolist()}) > 1, "the test needs texts that differ"
    for side in ("left", "right"):
        assert torch.equal(alone, write(prompts(side, rows)))
        backwards = write(prompts(side, rows[::-1]))
        assert torch.equal(alone, backwards.flip(0))


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("method", TUNINGS)
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "qwen3"])
def test_texts_of_decoders_depend_on_the_prompt_alone(architecture: str, method: str, name: str, tmp_path: Path) -> None:
    check(decoder(tmp_path, architecture, method), name)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("architecture", ["bart", "t5", "marian"])
def test_texts_of_encoder_decoders_depend_on_the_source_alone(architecture: str, name: str) -> None:
    check(encoder_decoder(architecture), name)


def test_a_text_is_what_the_most_probable_tokens_make(tmp_path: Path) -> None:
    """The same as one forward pass for each token, without a cache."""
    tuned = decoder(tmp_path, "llama", "full")
    row = rows_of_tokens()[0]
    text = Generator(tuned, USUAL_GENERATION, max_new_tokens=NEW, stops=())(prompts("left", [row]))[0]
    tokens = row
    for _ in range(NEW):
        tokens = torch.cat([tokens, tuned.core(tokens[None]).logits[0, -1].argmax()[None]])
    assert text.tolist() == tokens[len(row) :].tolist()


def test_a_text_ends_before_the_first_stop(tmp_path: Path) -> None:
    tuned, rows = decoder(tmp_path, "llama", "full"), rows_of_tokens()
    endless = Generator(tuned, USUAL_GENERATION, max_new_tokens=NEW, stops=())(prompts("left", rows))
    stop = int(endless[0, 4])
    ended = Generator(tuned, USUAL_GENERATION, max_new_tokens=NEW, stops=(stop,))(prompts("left", rows))
    for before, after in zip(endless.tolist(), ended.tolist(), strict=True):
        kept = before.index(stop) if stop in before else NEW
        assert after == [*before[:kept], *[NOTHING] * (NEW - kept)]


def test_settings_that_come_with_the_weights_are_not_used(tmp_path: Path) -> None:
    tuned, rows = decoder(tmp_path, "llama", "full"), rows_of_tokens()
    expected = Generator(tuned, USUAL_GENERATION, max_new_tokens=NEW, stops=())(prompts("left", rows))
    tuned.core.generation_config = transformers.GenerationConfig(do_sample=True, temperature=9.0, repetition_penalty=5.0, min_length=40)
    again = Generator(tuned, USUAL_GENERATION, max_new_tokens=NEW, stops=())(prompts("left", rows))
    assert torch.equal(expected, again)


def test_another_seed_draws_another_text(tmp_path: Path) -> None:
    tuned, rows = decoder(tmp_path, "llama", "full"), rows_of_tokens()
    drawn = [
        Generator(tuned, dataclasses.replace(USUAL_GENERATION, do_sample=True, seed=seed), max_new_tokens=NEW, stops=())(
            prompts("left", rows)
        )
        for seed in (0, 0, 1)
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_draws_follow_the_softmax(tmp_path: Path) -> None:
    """The first token of many prompts that end alike is drawn as often as its probability says."""
    tuned = decoder(tmp_path, "gpt2", "full")
    with torch.no_grad():
        for block in tuned.core.transformer.h:
            block.attn.c_proj.weight.zero_()  # the last token alone decides
            block.attn.c_proj.bias.zero_()
    generator = torch.Generator().manual_seed(3)
    rows = [torch.cat([torch.randint(3, 48, (4,), generator=generator), torch.tensor([20])]) for _ in range(4000)]
    settings = dataclasses.replace(USUAL_GENERATION, do_sample=True, temperature=0.5)
    first = Generator(tuned, settings, max_new_tokens=1, stops=())(prompts("right", rows))[:, 0]
    expected = (tuned.core(rows[0][None]).logits[0, -1] / 0.5).softmax(-1).detach()
    share = torch.bincount(first.clamp(min=0), minlength=len(expected)) / len(rows)
    top = expected.topk(5).indices
    assert torch.allclose(share[top].double(), expected[top], atol=0.03)
