"""What fields demand of each other: one clear problem for each, and nothing against what is right."""

import pytest

from finecomb.config.compose import compose
from finecomb.config.schema.task import FACTS, variant
from finecomb.config.schema.tuning import REFUSED
from finecomb.config.validate import validate
from finecomb.core.errors import ConfigError

QUESTIONS = ["task=question_answering", "dataset=files", "dataset.files.train=pyproject.toml"]


def check(*overrides):
    composition = compose(list(overrides))
    validate(composition.config, composition.origins)
    return composition.config


def problems(*overrides):
    with pytest.raises(ConfigError) as caught:
        check(*overrides)
    return caught.value.problems


@pytest.mark.parametrize(
    ("overrides", "what", "where"),
    [
        (["loss=huber"], "loss=huber cannot serve task=sequence_classification", "loss=huber"),
        (
            ["task.multi_label=true", "loss=mse", "dataset.label_kind=classes", "dataset=files", "dataset.files.train=x"],
            "loss=mse cannot serve",
            "loss=mse",
        ),
        (["dataset=stsb", "loss=cross_entropy"], "loss=cross_entropy cannot serve task=regression", "loss=cross_entropy"),
        (
            ["dataset.target=rating", "task=sequence_classification"],
            "dataset=movie_reviews gives a number for each text",
            "dataset.target=rating",
        ),
        (["task=regression", "loss=mse"], "dataset=movie_reviews gives one class for each text", "conf/dataset/_rated.yaml"),
        (["monitor.metric=pearson"], "monitor.metric=pearson is no metric of task=sequence_classification", "monitor.metric=pearson"),
        (["loss.class_weights=[1,2,3]"], "loss.class_weights has 3 weights", "loss.class_weights"),
        (["loss.class_weights=[0,0]"], "loss.class_weights=[0, 0]: every weight is 0", "loss.class_weights"),
        (["loss.class_weights=[1,true]"], "loss.class_weights=[1, True] is no list of weights", "loss.class_weights"),
        (["loss.class_weights=3"], "loss.class_weights=3 is neither balanced nor a list", "loss.class_weights"),
        (["loss.class_weights=even"], "loss.class_weights=even is neither", "loss.class_weights"),
        (["loss.class_weights=[1,-1]"], "loss.class_weights=[1, -1] is no list of weights", "loss.class_weights"),
        (["optimizer.betas=[0.9]"], "optimizer.betas=[0.9] is no pair", "optimizer.betas"),
        (["optimizer=sgd", "optimizer.momentum=0", "optimizer.nesterov=true"], "needs momentum", "optimizer.nesterov"),
        (["batch.size=30", "batch.micro_batches=4"], "batch.size=30 cannot be split evenly in 4", "batch.size=30"),
        (["trainer=ddp", "trainer.devices=2", "batch.size=30", "batch.micro_batches=2"], "cannot be split evenly in 4", "batch.size=30"),
        (["batch.max_tokens=64"], "batch.max_tokens=64 is less than batch.max_length", "batch.max_tokens=64"),
        (["trainer=cpu", "trainer.precision=16-mixed"], "trainer.precision=16-mixed needs a GPU", "trainer.precision=16-mixed"),
        (["trainer.devices=2"], "needs a strategy", "trainer.devices=2"),
        (["trainer.num_nodes=2"], "needs a strategy", "conf/trainer/_base.yaml"),
        (["trainer.max_time=90"], "trainer.max_time=90 is no time", "trainer.max_time=90"),
        (["optimizer.lr=0"], "optimizer.lr=0 trains nothing", "optimizer.lr=0"),
        (["tuning=head", "optimizer.head_lr_multiplier=0"], "trains nothing with tuning=head", "optimizer.head_lr_multiplier=0"),
        (["dataset.columns.label=text"], "text and label are the same column, text", "dataset.columns.label=text"),
        (["trainer.max_steps=0"], "trainer.max_steps=0 trains nothing", "trainer.max_steps=0"),
        (["dataset.split.validation=0.8"], "leave nothing to train on", "dataset.split.validation=0.8"),
        (["dataset.split.validation=0"], "there is no validation split", "dataset.split.validation=0"),
        (["dataset.label_names=[a,a]"], "names a class twice", "dataset.label_names"),
        (["dataset=sst2", "dataset.path=absent"], "dataset.path=absent: there is no absent", "dataset.path=absent"),
        (["dataset=prepared"], "dataset=prepared needs its folder", "conf/dataset/_base.yaml"),
        (["tuning=lora", "tuning.target_modules=query"], "tuning.target_modules=query names no modules", "tuning.target_modules"),
        (["tuning=lora", "tuning.target_modules=[query,valeu]"], "of bert is named valeu", "tuning.target_modules"),
        (["tuning=lora", "tuning.lora_alpha=0"], "switches the update off", "tuning.lora_alpha=0"),
        (["tuning=top_layers", "tuning.k=7"], "model=all_minilm_l6_v2 has 6 layers", "tuning.k=7"),
        (["batch.max_length=513"], "more than model=all_minilm_l6_v2 has positions (512)", "batch.max_length=513"),
        (["tuning=prompt", "batch.max_length=500"], "(512 less 20 virtual tokens)", "batch.max_length=500"),
        (["model=tiny", "batch.max_length=500"], "model=tiny has positions (192)", "batch.max_length=500"),
        (["model=tiny", "model.hidden=33"], "cannot be split in 2 heads", "model.hidden=33"),
        (["model=tiny", "model.model_type=gpt2"], "model.model_type=gpt2 is not model.architecture=bert", "model.model_type=gpt2"),
        (["model.model_type=brt"], "model.model_type=brt is not known", "model.model_type=brt"),
        (["model=xlnet_base", "model.attention=sdpa"], "model.attention=sdpa is not available for xlnet", "model.attention=sdpa"),
        (["model.attention=flash_attention_2"], "needs the package flash-attn", "model.attention=flash_attention_2"),
        (["model.attention=flash_attention_2", "trainer=cpu"], "needs a GPU; trainer.accelerator=cpu", "model.attention"),
        (["model.attention=flash_attention_2", "trainer.precision=bf16-mixed"], "evaluates in fp32", "trainer.precision=bf16-mixed"),
        (["trainer=fsdp", "trainer.devices=2", "trainer.compile=true"], "not tested with trainer.strategy=fsdp", "trainer.compile=true"),
        (["trainer=fsdp", "trainer.devices=2", "optimizer=adafactor"], "takes means over whole tensors", "optimizer=adafactor"),
        (["trainer=fsdp", "trainer.accelerator=gpu", "trainer.precision=16-mixed"], "loss scaling", "trainer.precision=16-mixed"),
        (["tuning.name=ful"], "tuning.name=ful names no tuning", "tuning.name=ful"),
        ([*QUESTIONS, "model=gpt2"], "task=question_answering needs an encoder; gpt2 is a decoder-only model", "model"),
        ([*QUESTIONS, "task.stride=124"], "leaves no room for a question in windows of batch.max_length=128", "task.stride=124"),
        ([*QUESTIONS, "loss.label_smoothing=0.1"], "loss.label_smoothing=0.1 needs classes", "loss.label_smoothing=0.1"),
        ([*QUESTIONS, "loss.class_weights=balanced"], "loss.class_weights=balanced needs classes", "loss.class_weights=balanced"),
        ([*QUESTIONS, "dataset.label_kind=class"], "gives one class for each text", "dataset.label_kind=class"),
        ([*QUESTIONS, "monitor.metric=accuracy"], "monitor.metric=accuracy is no metric of task=question_answering", "monitor.metric"),
    ],
)
def test_fields_that_do_not_fit_each_other_are_refused_where_they_were_set(overrides, what, where):
    found = [problem for problem in problems(*overrides) if what in problem.what]
    assert len(found) == 1
    assert where in found[0].where


@pytest.mark.parametrize(
    "overrides",
    [
        ["trainer=gpu", "trainer.precision=16-mixed"],
        ["trainer=ddp"],
        ["trainer=ddp", "trainer.devices=4", "trainer.num_nodes=2", "trainer.accelerator=gpu"],
        ["dataset.target=rating", "task=regression", "loss=huber"],
        [*QUESTIONS, "task.stride=123", "loss=focal", "monitor.metric=exact_match"],
        ["dataset.target=ternary", "loss.class_weights=[1,2,0.5]"],
        ["loss=mse"],
        ["loss.class_weights=balanced", "loss.label_smoothing=0.1"],
        ["trainer.max_time=00:01:30:00"],
        ["tuning=prompt", "batch.max_length=492"],
        ["tuning=lora", "tuning.target_modules=all-linear"],
        ["tuning=lora", "tuning.target_modules=[query,attention.output.dense]"],
        ["model=deberta_v3_base", "batch.max_length=1024"],
        ["model.name_or_path=somewhere/else", "batch.max_length=4000"],
    ],
)
def test_what_fits_is_let_through_with_or_without_a_gpu(overrides):
    check(*overrides)


def test_every_problem_is_told_at_once():
    wrong = ["loss=huber", "monitor.metric=pearson", "batch.size=5", "batch.micro_batches=2", "trainer.precision=16-mixed"]
    assert len(problems("trainer=cpu", *wrong)) == 4


def test_an_absent_file_names_the_nearest_in_its_folder(tmp_path):
    (tmp_path / "reviews.csv").write_text("text,label\n")
    (problem,) = problems("dataset=files", f"dataset.files.train={tmp_path}/review.csv")
    assert "there is no review.csv" in problem.what
    assert problem.allowed == "reviews.csv"
    assert problem.hint == "did you mean reviews.csv?"


def test_files_are_looked_up_in_the_datasets_folder(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n")
    check("dataset=files", f"dataset.path={tmp_path}", "dataset.files.train=a.csv")


@pytest.mark.parametrize(("tuning", "kind"), list(REFUSED))
def test_a_refused_pair_is_refused_with_its_reason(tuning, kind):
    listed = problems(f"tuning={tuning}", "model=tiny", f"model.architecture={kind}")
    # T5 has no head for the classes of the default data set, which is a second problem.
    (problem,) = [each for each in listed if "cannot be used with" in each.what and "needs" not in each.what]
    assert REFUSED[tuning, kind] in problem.what


def test_every_task_can_be_monitored_and_trained_by_what_its_facts_say():
    for key, facts in FACTS.items():
        assert facts.monitor in facts.metrics, key
        assert facts.losses, key
    assert variant(check("dataset=files", "dataset.files.train=pyproject.toml", "task.multi_label=true").task) in FACTS
