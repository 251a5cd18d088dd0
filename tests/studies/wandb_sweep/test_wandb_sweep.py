"""sweep.yaml: the linter on broken files, the way of values to a config, and W&B's own argv."""

from pathlib import Path

import pytest

from finecomb.core.errors import ConfigError
from finecomb.studies.search.space import Choice, Range
from finecomb.studies.wandb_sweep import lint, run, words
from finecomb.studies.wandb_sweep.distributions import dimension
from finecomb.studies.wandb_sweep.sweep_file import read

ROOT = Path(__file__).resolve().parents[3]
GOOD = """
method: random
run_cap: 4
metric: {name: validation/accuracy, goal: maximize}
command: [finecomb, train, "${args_no_hyphens}"]
parameters:
  optimizer.lr: {distribution: log_uniform_values, min: 1.0e-5, max: 1.0e-3}
  tuning: {values: [full, lora]}
"""


@pytest.fixture
def write(tmp_path):
    def _write(text):
        path = tmp_path / "sweep.yaml"
        path.write_text(text)
        return path

    return _write


def test_the_shipped_sweep_is_clean_and_trains_without_the_test_set():
    sweep = lint.lint(ROOT / "sweep.yaml")
    settings = run.settings_of(sweep)
    assert "evaluate.test=False" in settings.fixed
    assert (settings.sampler, settings.metric, settings.mode) == ("gp", "validation/accuracy", "max")
    assert settings.pruner.bands[:3] == (1, 3, 9)


def test_a_good_file_is_summed_up(write):
    sweep = lint.lint(write(GOOD))
    assert lint.summary(sweep)[0].endswith("2 parameters, values without end, method random, run_cap 4")
    whole = lint.lint(
        write(GOOD.replace("random", "grid").replace("{distribution: log_uniform_values, min: 1.0e-5, max: 1.0e-3}", "{values: [1, 2, 3]}"))
    )
    assert lint.size(whole) == 6


LR = "  optimizer.lr: {distribution: log_uniform_values, min: 1.0e-5, max: 1.0e-3}"
BROKEN = {
    "nested": (
        LR,
        "  optimizer: {parameters: {lr: {values: [0.1]}}}",
        r"optimizer holds nested parameters",
        "write optimizer.lr: as a key of its own",
    ),
    "null": (LR, "  trainer.gradient_clip_val: {values: [null, 1.0]}", "null reaches Hydra as the text None", "leave it out"),
    "comma": (LR, "  name: {values: ['a b,c']}", r"the comma in 'a b,c' makes Hydra sweep", "keeps it one text"),
    "macro": ("${args_no_hyphens}", "${args_no_equals}", r"finecomb takes overrides, which this does not write", ""),
    "hydra's macro": ("${args_no_hyphens}", "${args_override_hydra}", r"finecomb takes overrides, which this does not write", ""),
    "no such macro": ("${args_no_hyphens}", "--${args}", r"--\$\{args\} is no macro", "a macro must be a word of its own"),
    "metric": (
        "validation/accuracy",
        "validation/acuracy",
        r"no metric logged by task=sequence_classification that is called validation/acuracy",
        "did you mean validation/accuracy?",
    ),
    "test metric": ("validation/accuracy", "test/accuracy", "the test set is not for choosing", ""),
    "endless grid": ("method: random", "method: grid", r"a grid over optimizer\.lr has no end", "list values"),
    "key": ("  tuning: {", "  tunning: {", r"tunning=full: .*tunning", "tuning"),
    "choice": ("[full, lora]", "[full, lorra]", r"tuning=lorra: .*lorra", "did you mean tuning=lora?"),
    "key of a choice": (LR, "  tuning.r: {values: [4]}", r"there is no such key with tuning=full", ""),
    "exponents": (LR, "  optimizer.lr: {distribution: log_uniform, min: 0.00001, max: 0.1}", "are exponents", "log_uniform_values"),
    "text for a number": ("1.0e-5", "1e-5", r"min '1e-5' is no number", r"write 1\.0e-4"),
    "bounds": ("max: 1.0e-3", "max: 1.0e-6", "is not below max", ""),
    "top level": ("run_cap", "runcap", "there is no key runcap", "did you mean run_cap?"),
    "hyperband": ("run_cap: 4", "early_terminate: {type: hyperband}", "needs either min_iter or max_iter", ""),
    "method": ("method: random", "method: baies", "there is no method baies", "did you mean bayes?"),
    "no place for values": ('"${args_no_hyphens}"', "seed=1", "no place for the values", ""),
    "parenthesis": (LR, "  name: {values: ['f(x)']}", r"name=f\(x\)", ""),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_would_break_is_told_before_it_does(write, case):
    import re

    old, new, what, hint = BROKEN[case]
    assert old in GOOD
    with pytest.raises(ConfigError) as raised:
        lint.lint(write(GOOD.replace(old, new)))
    told = [problem for problem in raised.value.problems if re.search(what, problem.what)]
    assert told, [problem.what for problem in raised.value.problems]
    assert re.search(hint, told[0].hint) or hint in told[0].hint
    assert "sweep.yaml, line " in told[0].where


def test_several_mistakes_are_told_at_once(write):
    with pytest.raises(ConfigError) as raised:
        lint.lint(write(GOOD.replace("random", "rando").replace("${args_no_hyphens}", "${arg}").replace("maximize", "max")))
    assert len(raised.value.problems) >= 3


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("{value: 3}", Choice((3,))),
        ("{min: 1, max: 5}", Range(1, 5, whole=True)),
        ("{min: 1.0, max: 5.0}", Range(1.0, 5.0)),
        ("{distribution: log_uniform_values, min: 0.1, max: 1.0}", Range(0.1, 1.0, log=True)),
        ("{distribution: q_uniform, min: 0.1, max: 1.0, q: 0.25}", Range(0.25, 1.0, step=0.25)),
    ],
)
def test_distributions_become_dimensions(write, given, expected):
    sweep, _ = read(write(GOOD.replace("  tuning: {values: [full, lora]}", f"  tuning.r: {given}")))
    assert dimension(sweep.parameters[1]) == expected


@pytest.mark.parametrize("macro", ["${args_no_hyphens}", "${args}"])
def test_values_arrive_as_the_agent_would_pass_them(write, macro):
    """The words are the agent's own; whatever the macro, they compose to one config."""
    from finecomb.config.compose import compose
    from finecomb.config.hydra_app import read as read_words

    sweep, _ = read(write(GOOD.replace("${args_no_hyphens}", macro)))
    argv = words.argv(sweep, {"optimizer.lr": 1e-05, "tuning": "lora", "callbacks.progress.enabled": False})
    assert argv[:2] == ["finecomb", "train"]
    by_agent = compose(read_words(argv[2:]).overrides).config
    by_us = compose(words.overrides(sweep, {"optimizer.lr": 1e-05, "tuning": "lora", "callbacks.progress.enabled": False})).config
    assert by_agent == by_us
    assert (by_us.optimizer.lr, by_us.tuning.name, by_us.callbacks.progress.enabled) == (1e-05, "lora", False)


def test_a_search_without_end_needs_a_number(write, monkeypatch):
    from finecomb.launch.policy import Policy

    with pytest.raises(ConfigError, match="how many runs"):
        run.run(write(GOOD.replace("run_cap: 4\n", "")), count=None, policy=Policy())


def test_max_iter_makes_its_brackets_downwards():
    assert run.pruner({"type": "hyperband", "max_iter": 27, "s": 2, "eta": 3}).bands == (3, 9)
    assert run.pruner({}).name == "none"
