"""Every module that computes numbers or decides rows, under a name that stays when its file moves.

A module's VERSION goes up when its numbers change; a module without one is of version 1. Raised versions are part of what the module
decides: of a run's fingerprint, or of the keys of cached data. tests/digests.json records a digest of each module's code, so that a change
of the code without a decision about the version fails a test.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
# Covered by the test: each of their files is a computing module or listed in IDLE.
COVERED = ("learning", "training", "data", "labeling", "studies/analysis/statistics")
# Stable name -> file below SOURCE, for modules whose file is no longer NAME.py.
MOVED: Mapping[str, str] = {
    "data/cleaner/duplicates": "data/cleaner/steps/duplicates.py",
    "data/cleaner/filters": "data/cleaner/steps/filters.py",
    "data/cleaner/language": "data/cleaner/steps/language.py",
    "data/cleaner/near": "data/cleaner/steps/near.py",
    "data/cleaner/normalise": "data/cleaner/steps/normalize.py",
    "data/cleaner/overlap": "data/cleaner/steps/overlap.py",
    "data/cleaner/perplexity": "data/cleaner/steps/perplexity.py",
    "data/cleaner/personal": "data/cleaner/steps/personal.py",
    "data/cleaner/predicate": "data/cleaner/steps/predicate.py",
    "data/cleaner/quality": "data/cleaner/steps/quality.py",
    "data/cleaner/repeats": "data/cleaner/steps/repeats.py",
    "data/cleaner/spelling": "data/cleaner/steps/spelling.py",
    "data/cleaner/text": "data/cleaner/steps/text.py",
    "data/annotator/agreement": "labeling/agreement.py",
    "data/annotator/consensus": "labeling/consensus.py",
    "data/annotator/documents": "labeling/documents.py",
    "data/annotator/label_errors": "labeling/label_errors.py",
    "data/annotator/offsets": "labeling/offsets.py",
    "data/annotator/queue": "labeling/queue.py",
    "data/annotator/session": "labeling/session.py",
    "data/annotator/spans": "labeling/spans.py",
    "data/annotator/storage": "labeling/storage.py",
    "data/annotator/tokens": "labeling/tokens.py",
    "data/annotator/formats/argilla": "labeling/formats/argilla.py",
    "data/annotator/formats/conll": "labeling/formats/conll.py",
    "data/annotator/formats/doccano": "labeling/formats/doccano.py",
    "data/annotator/formats/fasttext": "labeling/formats/fasttext.py",
    "data/annotator/formats/label_studio": "labeling/formats/label_studio.py",
    "data/annotator/formats/prodigy": "labeling/formats/prodigy.py",
    "data/prepare/labelling": "data/prepare/labeling.py",
    "data/augmenter/words": "data/augmenter/word_spans.py",
    "data/cleaner/words": "data/cleaner/word_pattern.py",
    "data/dataset/common_crawl/source": "data/dataset/common_crawl/archive_source.py",
    "data/dataset/crawl/source": "data/dataset/crawl/crawl_source.py",
    "data/dataset/found": "data/dataset/file_search.py",
    "data/dataset/reading": "data/dataset/row_stream.py",
    "data/dataset/wikipedia/source": "data/dataset/wikipedia/dump_source.py",
    "data/prepare/reading": "data/prepare/reading_tasks.py",
    "data/prepare/rows": "data/prepare/preparation.py",
    "learning/tuning/artefact": "learning/tuning/artifact.py",
    "studies/references": "studies/analysis/references.py",
    "studies/report/analysis": "studies/analysis/analyze.py",
    "studies/scores": "studies/analysis/scores.py",
    "studies/statistics/budget": "studies/analysis/statistics/budget.py",
    "studies/statistics/corrected": "studies/analysis/statistics/corrected.py",
    "studies/statistics/metrics": "studies/analysis/statistics/metrics.py",
    "studies/statistics/resampling": "studies/analysis/statistics/interval.py",
    "studies/statistics/seeds": "studies/analysis/statistics/seeds.py",
    "studies/statistics/significance": "studies/analysis/statistics/significance.py",
    "studies/statistics/two_way": "studies/analysis/statistics/two_way.py",
    "training/artefact": "training/artifact.py",
    "training/callbacks/validate": "training/callbacks/best.py",
}


def _later_steps() -> list[str]:
    """The cleaning steps that came after this list: a new step is entered by its file alone."""
    files = sorted(f"data/cleaner/steps/{path.name}" for path in (SOURCE / "data" / "cleaner" / "steps").glob("[!_]*.py"))
    return [name.removesuffix(".py") for name in files if name not in MOVED.values()]


# Modules by what their versions are part of. A name is the path of the file at the time when it was entered here.
COMPUTING: Mapping[str, tuple[str, ...]] = {
    # The fingerprint of every run.
    "run": (
        "learning/generation", "learning/heads", "learning/loss", "learning/optimizer", "learning/pooling", "learning/precision",
        "learning/scheduler",
        "learning/model/backbone", "learning/model/scratch", "learning/model/source", "learning/model/tiny", "learning/model/tokenizer",
        "learning/task/answer_windows", "learning/task/encoding", "learning/task/entities", "learning/task/metrics",
        "learning/task/next_tokens", "learning/task/no_answer", "learning/task/runner",
        "learning/task/text_generation",
        "learning/tuning/artefact", "learning/tuning/seeding", "learning/tuning/tuned",
        "runs/class_metrics", "runs/squad", "runs/sum_metrics", "runs/text_statistics",
        "training/artefact", "training/batching", "training/build", "training/collector", "training/generating", "training/inputs",
        "training/callbacks/clock", "training/callbacks/record", "training/callbacks/stop",
        "training/callbacks/validate", "training/callbacks/weight_averaging",
        "training/checkpoint", "training/datamodule", "training/encode", "training/examples",
        "training/evaluate", "training/evaluation_module", "training/fit", "training/module", "training/parts", "training/result",
        "training/seeding", "training/strategy", "training/trainer", "training/worker",
    ),
    # The fingerprint of runs with this choice.
    "choice": (
        "learning/task/regression", "learning/task/chat", "learning/task/sequence_classification", "learning/task/code_generation",
        "learning/task/language_modeling", "learning/task/question_answering", "learning/task/similarity", "learning/task/seq2seq",
        "learning/task/token_classification",
        "learning/tuning/bitfit", "learning/tuning/full", "learning/tuning/head", "learning/tuning/lora", "learning/tuning/prompt",
        "learning/tuning/top_layers",
    ),
    # Keys of cached data, of which the code of the key names the VERSION itself.
    "keyed": (
        "data/annotator/__init__", "data/dataset/crawl/source", "data/dataset/extract", "data/dataset/wikipedia/source",
        "data/prepare/balance", "data/prepare/delivery", "data/prepare/rows", "data/sampler",
    ),
    # The key of all prepared data.
    "reading": (
        "data/chance", "data/patterns", "data/scripts", "data/shards", "data/texts",
        "data/dataset/broken", "data/dataset/columns", "data/dataset/compressed", "data/dataset/files", "data/dataset/found",
        "data/dataset/hub", "data/dataset/known_files", "data/dataset/labels", "data/dataset/lines", "data/dataset/manifest",
        "data/dataset/movie_reviews", "data/dataset/parallel", "data/dataset/prepared",
        "data/dataset/reading", "data/dataset/rows", "data/dataset/shop_reviews",
        "data/dataset/bbc_news", "data/dataset/brown_pos", "data/dataset/fetched", "data/dataset/po_files",
        "data/dataset/python_functions", "data/dataset/quoref", "data/dataset/sst5", "data/dataset/split", "data/dataset/table",
        "data/dataset/text_file",
        "data/dataset/formats/columnar", "data/dataset/formats/delimited", "data/dataset/formats/objects", "data/dataset/formats/piece",
        "data/dataset/formats/plain", "data/dataset/formats/squad",
        "data/dataset/kinds/answers", "data/dataset/kinds/kind", "data/dataset/kinds/plain",
        "data/dataset/kinds/messages", "data/dataset/kinds/tags", "data/dataset/tag_schemes",
        "data/prepare/after_split", "data/prepare/clusters", "data/prepare/labelling", "data/prepare/reading",
    ),
    # The inputs of the sources that use them.
    "extract": ("data/dataset/extract_worker",),
    "common_crawl": ("data/dataset/common_crawl/index", "data/dataset/common_crawl/records", "data/dataset/common_crawl/source"),
    "crawl": (
        "data/dataset/crawl/crawler", "data/dataset/crawl/fetch", "data/dataset/crawl/robots", "data/dataset/crawl/store",
        "data/dataset/crawl/urls",
    ),
    "wikipedia": (
        "data/dataset/wikipedia/articles", "data/dataset/wikipedia/dump",
        "data/dataset/wikipedia/markup", "data/dataset/wikipedia/templates", "data/dataset/wikipedia/wikitext",
    ),
    # The identity of every cleaning step, beside the VERSION of its class.
    "cleaner": (
        "data/cleaner/among", "data/cleaner/corrections", "data/cleaner/duplicates", "data/cleaner/filters", "data/cleaner/language",
        "data/cleaner/lsh", "data/cleaner/near", "data/cleaner/near_index", "data/cleaner/normalise", "data/cleaner/overlap",
        "data/cleaner/perplexity", "data/cleaner/personal", "data/cleaner/phones",
        "data/cleaner/predicate", "data/cleaner/quality", "data/cleaner/recipe",
        "data/cleaner/repeats", "data/cleaner/repetition", "data/cleaner/shingles", "data/cleaner/spelling", "data/cleaner/stage",
        "data/cleaner/step", "data/cleaner/text", "data/cleaner/word_arrays", "data/cleaner/word_hashes", "data/cleaner/words",
        *_later_steps(),
    ),
    # The identity of an annotator and of an augmenter.
    "annotator": (
        "data/annotator/answers", "data/annotator/dependence", "data/annotator/functions", "data/annotator/label_model",
        "data/annotator/propagation", "data/annotator/run", "data/annotator/terms", "data/annotator/voting",
    ),
    "augmenter": (
        "data/augmenter/__init__", "data/augmenter/back_translation", "data/augmenter/counterfactual",
        "data/augmenter/noise", "data/augmenter/operation", "data/augmenter/rewording", "data/augmenter/words",
    ),
    # Nothing: what they compute is shown, or handed to other tools, and never cached.
    "shown": (
        "data/annotator/agreement", "data/annotator/consensus", "data/annotator/documents", "data/annotator/label_errors",
        "data/annotator/offsets", "data/annotator/queue", "data/annotator/session", "data/annotator/spans", "data/annotator/storage",
        "data/annotator/tokens",
        "data/annotator/formats/argilla", "data/annotator/formats/conll", "data/annotator/formats/doccano",
        "data/annotator/formats/fasttext", "data/annotator/formats/label_studio", "data/annotator/formats/prodigy",
        "data/prepare/leakage", "training/tables",
        "studies/statistics/budget", "studies/statistics/corrected", "studies/statistics/metrics", "studies/statistics/resampling",
        "studies/statistics/seeds", "studies/statistics/significance", "studies/statistics/two_way",
        "studies/analysis/rows", "studies/references", "studies/scores", "studies/report/analysis",
    ),
}  # fmt: skip

# Files in COVERED that compute nothing.
IDLE = (
    "learning/__init__", "learning/quiet", "learning/model/__init__", "learning/task/__init__", "learning/tuning/__init__",
    "training/__init__", "training/callbacks/__init__", "training/callbacks/build", "training/callbacks/generated_texts",
    "training/callbacks/gradient_statistics",
    "training/callbacks/learning_rate_monitor", "training/callbacks/sample_predictions", "training/card", "training/from_record",
    "training/interruption", "training/logger", "training/memory",
    "training/mirrors", "training/trainer_settings", "training/wandb_mirror",
    "data/__init__", "data/engine", "data/ray_engine",
    "labeling/__init__", "labeling/server", "labeling/formats/__init__", "labeling/formats/options",
    "data/cleaner/__init__", "data/cleaner/steps/__init__", "data/dataset/__init__", "data/dataset/source_protocol",
    "data/dataset/formats/__init__", "data/dataset/kinds/__init__",
    "data/dataset/common_crawl/__init__", "data/dataset/crawl/__init__", "data/dataset/crawl/warc", "data/dataset/wikipedia/__init__",
    "data/prepare/__init__", "data/prepare/page",
    "studies/analysis/statistics/__init__",
)  # fmt: skip

_VERSION = re.compile(r"^VERSION\s*(?::[^=]*)?=\s*[\"']?([\w.]+)", re.MULTILINE)


def names() -> list[str]:
    """The stable names of all computing modules."""
    return [name for part in COMPUTING.values() for name in part]


def file_of(name: str) -> Path:
    """Where a module lies now."""
    return SOURCE / MOVED.get(name, f"{name}.py")


@functools.cache
def version_of(name: str) -> str:
    """The VERSION of a module, read from its text, because importing it could import torch. Without the word it is "1"."""
    match = _VERSION.search(file_of(name).read_text(encoding="utf-8"))
    return match[1] if match else "1"


def raised(*parts: str) -> list[str]:
    """Modules of these parts whose version is not "1", each with its version; as long as there are none, keys stay as they are."""
    return [f"{name} {version}" for part in parts for name in COMPUTING[part] if (version := version_of(name)) != "1"]


def versions_of_run(task: str, tuning: str) -> dict[str, str]:
    """The versions that are not "1" of the modules that a run with these choices computes with."""
    chosen = (f"learning/task/{task}", f"learning/tuning/{tuning}")
    found = {name: version_of(name) for name in (*COMPUTING["run"], *COMPUTING["choice"]) if name in COMPUTING["run"] or name in chosen}
    return {name: version for name, version in found.items() if version != "1"}
