"""From overrides to a typed config: origins, every mistake at once, and agreement with Hydra's own compose."""

from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from finecomb.config import plugins
from finecomb.config.catalogue import catalogue
from finecomb.config.compose import compose, register
from finecomb.config.fingerprint import difference_name
from finecomb.config.locate import conf_dir
from finecomb.config.plain import flatten, from_plain, to_plain
from finecomb.config.schema.model import FAMILIES
from finecomb.config.schema.optimizer import Sgd
from finecomb.config.schema.train import GROUPS
from finecomb.config.schema.tuning import Lora
from finecomb.config.sources import known_groups, options, read, summary
from finecomb.core.errors import ConfigError


@pytest.fixture(autouse=True)
def _own_plugins(monkeypatch):
    monkeypatch.setattr(plugins, "_loaded", {})


def problems(*overrides: str, **arguments):
    with pytest.raises(ConfigError) as caught:
        compose(list(overrides), **arguments)
    return caught.value.problems


def own_choices(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        path = tmp_path / "conf" / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_every_value_has_an_origin_and_names_what_set_it_last():
    composition = compose(["experiment=main_job", "tuning=lora", "tuning.r=4"])
    origins = composition.origins
    assert set(flatten(to_plain(composition.config))) <= set(origins)
    assert str(origins["tuning.r"]) == "command line: tuning.r=4"
    assert str(origins["tuning"]) == "command line: tuning=lora"
    experiment = read(conf_dir() / "experiment" / "main_job.yaml").entries["dataset"].children["limit"].children["train"]
    assert str(origins["dataset.limit.train"]) == f"conf/experiment/main_job.yaml:{experiment.line}"
    assert origins["batch.size"].source == "conf/train.yaml"


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["experiment=sst2_bert", "debug=one_batch", "optimizer=sgd", "optimizer.lr=1e-3"],
        ["tuning=lora", "tuning.target_modules=[query,key]", "optimizer.betas=[0.8,0.9]", "trainer.precision=32-true", "name=a"],
        ["dataset=files", "dataset.files.train=a.csv", "dataset.limit={train: 3}", "~cleaner.steps.empty"],
        ["++cleaner.steps.again.step=unicode", "++cleaner.steps.again.form=NFKC", "callbacks.early_stopping.patience=2"],
    ],
)
def test_the_result_is_what_hydra_itself_composes(overrides):
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        expected = OmegaConf.to_container(hydra_compose("train", overrides), resolve=True)
    assert to_plain(compose(overrides).config) == expected


def test_what_our_pass_collects_is_what_hydra_merges():
    composition = compose(["experiment=stsb_all_minilm", "debug=tiny", "seed=7", "cleaner.steps.unicode=null"])
    from finecomb.config.collect import collect
    from finecomb.config.compose import loader
    from finecomb.config.plain import from_values

    found = collect(composition.overrides, loader().defaults_list)
    values = {key: setting.value for key, setting in found.values.items()}
    ours = to_plain(from_values(values, found.classes))
    ours["cleaner"]["steps"] = {name: step for name, step in ours["cleaner"]["steps"].items() if step is not None}
    assert ours == to_plain(composition.config)


def test_hyphens_before_an_override_change_nothing():
    assert compose(["--tuning=lora", "--tuning.r=4"]).config == compose(["tuning=lora", "tuning.r=4"]).config


def test_the_command_line_wins_over_an_experiment_and_the_experiment_over_the_choice():
    config = compose(["experiment=sst2_bert", "scheduler.warmup=7"]).config
    assert (config.scheduler.warmup, config.batch.size, config.dataset.name) == (7.0, 16, "sst2")
    assert compose(["experiment=sst2_bert", "optimizer=sgd", "model=gpt2"]).config.model.name == "gpt2"


def test_the_choice_decides_the_class():
    config = compose(["tuning=lora", "optimizer=sgd"]).config
    assert isinstance(config.tuning, Lora)
    assert isinstance(config.optimizer, Sgd)
    assert isinstance(config.tuning.lora_alpha, float)


def test_null_removes_a_step_and_a_named_step_joins_at_the_end():
    config = compose(["cleaner.steps.unicode=null", "cleaner.steps.again.step=whitespace", "cleaner.steps.again.collapse=false"]).config
    assert list(config.cleaner.steps) == ["whitespace", "empty", "duplicates", "again"]


def test_all_mistakes_are_told_at_once_each_with_origin_allowed_and_the_nearest():
    found = problems(
        "tuning=lorra",
        "batch.sise=3",
        "seed=-1",
        "optimizer.lr=fast",
        "monitor.mode=mx",
        "+foo=1",
        "dataset=files",
        "bad[",
        "trainer.devices=1,2",
    )
    whats = {problem.what: problem for problem in found}
    assert len(found) == 9
    choice = whats["tuning=lorra: there is no such choice"]
    assert choice.where == "command line: tuning=lorra"
    assert choice.allowed == ", ".join(options("tuning"))
    assert choice.hint == "did you mean tuning=lora?"
    assert whats["batch.sise: there is no such key"].hint == "did you mean batch.size?"
    assert whats["seed=-1 is below 0"].allowed == "a whole number of at least 0"
    assert whats["optimizer.lr=fast is neither a number nor one of the allowed words"].allowed == "a number of at least 0 or auto"
    assert whats["monitor.mode=mx is not one of the allowed values"].hint == "did you mean max?"
    assert "foo: there is no such key" in whats
    assert whats["dataset.files.train has no value"].where.startswith("conf/dataset/files.yaml:")
    assert "add -m" in whats["trainer.devices=1,2 asks for several values"].hint
    assert "'bad[' is no override" in whats


def test_a_misspelt_key_and_problems_between_fields_are_told_together():
    whats = [problem.what for problem in problems("batch.sise=3", "loss=huber")]
    assert whats == ["batch.sise: there is no such key", "loss=huber cannot serve task=sequence_classification"]


@pytest.mark.parametrize(
    ("override", "what", "hint"),
    [
        ("tuning.k=2", "tuning.k: there is no such key with tuning=full", "tuning=top_layers has it"),
        ("lr=1", "lr: there is no such key", "did you mean optimizer.lr?"),
        ("+optimizer.lr=1", "+optimizer.lr: the key is there already", "leave the + off: optimizer.lr=1"),
        ("~seed", "~seed: a key of the schema cannot be removed", "set it instead: seed=..."),
        ("model=null", "model=null: there is no such choice", ""),
        ("batch=3", "batch=3: batch holds keys of its own", ""),
        ("seed.x=3", "seed.x: seed holds one value and no keys", "write seed=..."),
        ("experiment=[main_job]", "experiment=['main_job']: a group takes one choice", ""),
        ("+experiment=main_job", "+experiment=main_job: a choice is made without + and @", "write experiment=main_job"),
        ("cleaner.steps.unicod.form=NFC", "cleaner.steps.unicod: there is no kind of step unicod", None),
        ("cleaner.steps.unicode.form=NFX", "cleaner.steps.unicode.form=NFX is not one of the allowed values", ""),
        ("cleaner.steps.unicode.from=NFC", "cleaner.steps.unicode.from: there is no such key", "did you mean cleaner.steps.unicode.form?"),
        ("cleaner.steps.other.step=empty", "cleaner.steps.other: min_characters is missing", None),
        ("~cleaner.steps.uncode", "~cleaner.steps.uncode: there is no such key", ""),
        ("evaluate.test=1", "evaluate.test=1 is not true or false", ""),
        ("seed=1.5", "seed=1.5 is not a whole number", ""),
        ("trainer.precision=true", "trainer.precision=True is not one of the allowed values", ""),
    ],
)
def test_a_mistake_on_the_command_line_is_one_clear_problem(override, what, hint):
    (problem,) = problems(override)
    assert problem.what == what
    assert problem.where == f"command line: {override}"
    assert hint is None or problem.hint == hint


def test_mistakes_in_an_experiment_file_are_told_with_their_lines(tmp_path):
    folder = own_choices(
        tmp_path,
        experiment__mine="# @package _global_\ndefaults:\n  - override /tuning: loro\n  - override /modell: gpt2\n\n"
        "optimizer:\n  learning_rate: 3\nbatch:\n  size: many\n",
    )
    found = {problem.what: problem for problem in problems("experiment=mine", config_dirs=[folder])}
    where = str(tmp_path / "conf" / "experiment" / "mine.yaml")
    assert found["tuning=loro: there is no such choice"].where == f"{where}:3"
    assert found["there is no group modell"].where == f"{where}:4"
    assert found["optimizer.learning_rate: there is no such key with optimizer=adamw"].where == f"{where}:7"
    assert found["batch.size=many is not a whole number"].where == f"{where}:9"


def test_broken_yaml_is_told_with_its_line(tmp_path):
    folder = own_choices(tmp_path, experiment__mine="# @package _global_\nbatch:\n  size: [3\n")
    (problem,) = problems("experiment=mine", config_dirs=[folder])
    assert problem.what.startswith("broken YAML")
    assert "mine.yaml:" in problem.where


def test_an_edited_file_is_read_again(tmp_path):
    text = "# @package _global_\nbatch:\n  size: {}\n"
    folder = own_choices(tmp_path, experiment__mine=text.format(10))
    assert compose(["experiment=mine"], config_dirs=[folder]).config.batch.size == 10
    own_choices(tmp_path, experiment__mine=text.format(200))
    assert compose(["experiment=mine"]).config.batch.size == 200


def test_a_choice_of_ones_own_builds_on_a_shipped_one_and_lacks_nothing(tmp_path):
    folder = own_choices(tmp_path, tuning__big="defaults:\n  - /tuning/lora@_here_\n  - _self_\nr: 64\n")
    composition = compose(["tuning=big"], config_dirs=[folder])
    assert (composition.config.tuning.r, composition.config.tuning.lora_alpha) == (64, 16.0)
    assert composition.plugin_dirs == [str(tmp_path)]


def test_a_tiny_model_has_the_architecture_that_is_named():
    for architecture in FAMILIES:
        model = compose(["model=tiny", f"model.architecture={architecture}"]).config.model
        assert (model.architecture, model.model_type, model.layers) == (architecture, architecture, 2)
    (problem,) = problems("model=tiny", "model.architecture=brt")
    assert problem.hint == "did you mean bert?"


def test_choices_for_tests_are_offered_to_nobody():
    assert "tiny" in options("model")
    assert "tiny" not in [name for name, _, _ in catalogue()["model"]]
    (wrong,) = problems("model=tony")
    assert "tiny" not in wrong.allowed
    assert wrong.hint == ""
    (absent,) = problems("model.init_seed=3")
    assert absent.hint == ""


@pytest.mark.parametrize("old", ["bert", "gpt2", "deberta_v3", "xlm_r"])
def test_the_old_name_of_a_tiny_model_is_an_error_that_gives_the_new_one(old):
    (problem,) = problems(f"model=tiny_{old}")
    new = {"deberta_v3": "deberta-v2", "xlm_r": "xlm-roberta"}.get(old, old)
    assert problem.hint == f"model=tiny_{old} is now model=tiny model.architecture={new}"
    compose(problem.hint.partition(" is now ")[2].split())


def test_a_run_from_before_the_key_has_its_architecture_in_model_type():
    plain = to_plain(compose(["model=tiny", "model.architecture=gpt2"]).config)
    del plain["model"]["architecture"]
    plain["model"]["name"] = "tiny_gpt2"
    assert from_plain(plain).model.model_type == "gpt2"


def test_a_base_file_is_not_a_choice(tmp_path):
    (problem,) = problems("tuning=_base")
    assert problem.what == "tuning=_base: there is no such choice"
    assert not any(name.startswith("_") for name in problem.allowed.split(", "))
    own = own_choices(tmp_path, experiment__mine="# @package _global_\ndefaults:\n  - override /model: _pretrained\n")
    (problem,) = problems("experiment=mine", config_dirs=[own])
    assert problem.what == "model=_pretrained: there is no such choice"
    assert problem.where.endswith("mine.yaml:3")


def test_a_value_of_a_base_file_has_that_file_and_line_as_its_origin():
    composition = compose(["optimizer=adamw", "cleaner=web"])
    lines = {
        "optimizer.lr": ("conf/optimizer/_base.yaml", "lr: auto"),
        "optimizer.eps": ("conf/optimizer/_adam.yaml", "eps: 1.0e-8"),
        "optimizer.weight_decay": ("conf/optimizer/adamw.yaml", "weight_decay: 0.01"),
        "cleaner.steps.near_duplicates.keep": ("conf/cleaner/_near_duplicates.yaml", "    keep: first"),
        "model.source": ("conf/model/all_minilm_l6_v2.yaml", "source:"),
    }
    for key, (source, text) in lines.items():
        origin = composition.origins[key]
        assert origin.source == source
        assert (conf_dir().parent / source).read_text().splitlines()[origin.line - 1] == text


def test_the_hub_id_of_a_model_says_where_it_is_fetched():
    assert compose(["model=gpt2"]).config.model.source == ["hub:openai-community/gpt2@main"]
    assert compose(["model=gpt2", "model.hub_id=distilbert/distilgpt2"]).config.model.source == ["hub:distilbert/distilgpt2@main"]


def test_a_choice_of_ones_own_builds_on_a_shipped_base_file(tmp_path):
    model = "defaults:\n  - _pretrained\n  - _self_\nname: mine\nmodel_type: bert\nhub_id: owner/name\n"
    base = "defaults:\n  - /optimizer/_adam@_here_\n  - _self_\neps: 1.0e-6\n"
    optimizer = "defaults:\n  - /schema/optimizer/adamw@_here_\n  - _careful\n  - _self_\nname: adamw\n"
    own = own_choices(tmp_path, model__mine=model, optimizer___careful=base, optimizer__careful=optimizer)
    composition = compose(["model=mine", "optimizer=careful"], config_dirs=[own])
    config = composition.config
    assert (config.model.source, config.model.dropout) == (["hub:owner/name@main"], None)
    assert (config.optimizer.eps, config.optimizer.betas, config.optimizer.lr) == (1e-6, [0.9, 0.999], "auto")
    assert difference_name(config, composition.choices) == "movie_reviews-mine-careful-full"
    assert summary("model", "mine") == "Pre-trained weights."
    assert "_careful" not in options("optimizer")


def test_a_base_file_that_is_merged_last_leaves_the_order_of_steps_to_the_recipe():
    steps = compose(["cleaner=gopher"]).config.cleaner.steps
    assert list(steps) == ["unicode", "gopher_quality", "gopher_repetition", "duplicates", "near_duplicates"]
    assert list(steps["near_duplicates"])[:4] == ["threshold", "ngram", "permutations", "keep"]


def test_a_file_that_lacks_a_value_is_told(tmp_path):
    folder = own_choices(tmp_path, tuning__bare="defaults:\n  - /schema/tuning/head@_here_\n  - _self_\nname: head\nfrozen_mode: eval\n")
    (problem,) = problems("tuning=bare", config_dirs=[folder])
    assert problem.what == "tuning.pooler has no value"


def _all_choices() -> list[tuple[str, str]]:
    files = [path for path in sorted(conf_dir().rglob("*.yaml")) if path.parent != conf_dir()]
    return [(path.parent.name, path.stem) for path in files if not path.stem.startswith("_")]


def test_no_shipped_file_is_left_out_of_the_groups():
    assert {group for group, _ in _all_choices()} == set(known_groups())
    assert len(_all_choices()) == sum(len(options(group)) for group in known_groups()) >= 68


PARALLEL = ["dataset=parallel", "dataset.path=.", "dataset.languages=[en,de]"]
NEEDS = {
    "dataset=hub": ["dataset.hub_id=owner/name"],
    "dataset=files": ["dataset.files.train=pyproject.toml"],
    "dataset=prepared": ["dataset.path=."],
    "dataset=crawl": ["dataset.start=[http://site.example/]"],
    "dataset=common_crawl": ["dataset.archives=[pages.warc.gz]"],
    "dataset=wikipedia": ["dataset.dump=dump.xml.bz2"],
    "annotator=run": ["annotator.run=runs/one"],
    "task=regression": ["dataset=stsb"],
    "task=similarity": ["dataset=stsb"],
    "loss=huber": ["dataset=stsb"],
    "task=token_classification": ["dataset=wnut16"],
    "task=chat": ["dataset=sgd", "dataset.path=.", "model=smollm2_135m"],
    "dataset=sgd": ["dataset.path=.", "model=smollm2_135m"],
    "task=language_modeling": ["dataset=files", "dataset.files.train=pyproject.toml", "model=smollm2_135m"],
    "dataset=parallel": [*PARALLEL[1:], "model=transformer"],
    "dataset=multi30k": [*PARALLEL[1:], "model=transformer"],
    "model=transformer": PARALLEL,
    "task=seq2seq": [*PARALLEL, "model=transformer"],
    "task=question_answering": ["dataset=files", "dataset.files.train=pyproject.toml"],
    **{
        f"dataset={name}": ["model=smollm2_135m", "task.template='{source}: {target}'"]
        for name in ("bbc_headlines", "po_files", "opus_books", "wmt14_en_de", "xsum", "cnn_dailymail")
    },
    **{f"dataset={name}": ["model=smollm2_135m"] for name in ("python_functions", "humaneval", "smoltalk", "dolly")},
    **{
        f"dataset={name}": ["model=smollm2_135m", "task=language_modeling"] for name in ("codesearchnet_python", "wikitext2", "wikitext103")
    },
    "task=code_generation": ["dataset=files", "dataset.files.train=pyproject.toml", "model=smollm2_135m"],
}


@pytest.mark.parametrize(("group", "name"), _all_choices())
def test_every_shipped_choice_composes_and_validates(group, name, monkeypatch):
    from finecomb.config.resolve import usual_values
    from finecomb.config.validate import validate

    monkeypatch.chdir(Path(__file__).parents[2])
    composition = compose([f"{group}={name}", *NEEDS.get(f"{group}={name}", [])])
    validate(composition.config, composition.origins)
    if name == "auto":
        name = {"task": "sequence_classification", "loss": "cross_entropy", "trainer": "auto"}[group]
    assert composition.choices[group] == name
    assert usual_values(composition.config)["optimizer.lr"] > 0
    if group in GROUPS:
        assert getattr(composition.config, group).name == name


@pytest.mark.parametrize("bundle", ["experiment", "debug"])
def test_null_is_a_choice_of_a_bundle_that_takes_an_earlier_one_back(bundle: str) -> None:
    name = "sst2_bert" if bundle == "experiment" else "overfit"
    assert compose([f"{bundle}=null"]).config == compose([]).config
    assert compose([f"{bundle}={name}", f"--{bundle}=null"]).config == compose([]).config
    assert compose([f"{bundle}=null", f"{bundle}={name}"]).config == compose([f"{bundle}={name}"]).config != compose([]).config
