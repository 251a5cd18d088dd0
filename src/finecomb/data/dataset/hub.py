"""A dataset of the hub, or the same dataset in local files (`dataset.path=FOLDER`), as GLUE's TSVs or in any other format."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from finecomb.assets import hash_file, offline
from finecomb.assets.hub import explain
from finecomb.config.schema.dataset import HubDataset
from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.core.paths import existing
from finecomb.data.dataset.compressed import COMPRESSED
from finecomb.data.dataset.file_search import File
from finecomb.data.dataset.formats.columnar import names_of, select
from finecomb.data.dataset.formats.columnar import table as arrow_table
from finecomb.data.dataset.formats.piece import How, Numbers, Table
from finecomb.data.dataset.labels import WITH_NAMES
from finecomb.data.dataset.row_stream import Part, Plan, Want, read_splits
from finecomb.data.dataset.rows import Rows
from finecomb.data.dataset.source_protocol import Raw
from finecomb.data.dataset.table import SUFFIXES, format_of, pieces

# What a split is called in the files that people hand around, by its name on the hub.
_STEMS = {"train": ("train", "training"), "validation": ("validation", "dev", "valid", "val"), "test": ("test",)}
_BATCH = 1000
_HIDDEN = "GLUE hides the labels of its test sets (-1), so nothing can be measured on them"


class HubSource:
    """Reads the hub's table or local files; which split of theirs is which of ours is in the config."""

    def __init__(self, config: HubDataset) -> None:
        self._config = config
        self._hub: dict[str, Any] | None = None
        self._names: dict[str, str] | None = None
        self._resolved: tuple[str, Exception | None] | None = None

    def inputs(self) -> dict[str, str]:
        """Hash of each local file; of the hub's tables the hash of the content, as a revision's name may move; of a stream the commit."""
        if self._config.path:
            return {f"{split}/{number}": f"{format_of(file)}:{hash_file(file)}"
                    for split, files in self._local().items() for number, file in enumerate(files)}  # fmt: skip
        if self._config.stream:
            return {split: f"hub:{self._commit()}:{theirs}" for split, theirs in self._splits().items()}
        tables = self._tables()
        hashes = {split: _hash_table(table) for split, table in tables.items()}
        # The hub's names of classes are no cells of the table, and yet decide what a label is.
        names = None if self._config.label_names else _class_names(tables["train"], self._label_column())
        return hashes | ({"label_names": json.dumps(names)} if names else {})

    def read(self, kind: str) -> Raw:
        """The rows of each split, as a stream; a benchmark's hidden labels are refused."""
        config = self._config
        how = How(headerless=config.headerless)
        want = Want(
            config.columns,
            kind,
            "|",
            config.strict,
            config.max_rejected,
            config.hub_id,
            config.aliases,
            config.first,
            skip_damaged=config.damaged == "skip",
        )
        plans = {}
        if config.path:
            for split, files in self._local().items():
                parts = [_part(path) for path in files]
                single = len(parts) == 1
                plans[split] = Plan(parts, single, False, how, f"{config.path}, {split}", f"dataset.path, {split}", numbered=True)
            source = f"{config.path} (files of {config.hub_id})"
        else:
            for split, table in self._tables().items():
                name = f"{config.hub_id}, {split}"
                plans[split] = Plan([Part(name, name, 0, partial(_pieces, table, name))], True, False, how, name, "dataset")
            source = f"hub:{config.hub_id}/{config.hub_config or ''}@{config.revision}"
        funnel: list[dict[str, Any]] = []
        rejected: list[dict[str, Any]] = []
        splits = read_splits(plans, want, funnel, rejected)
        names = list(config.label_names) if config.label_names else None
        if names is None and kind in WITH_NAMES and not config.path:
            names = _class_names(self._tables()["train"], self._label_column())
        return Raw(
            {split: _judged(rows, kind, names) for split, rows in splits.items()},
            source,
            config.license,
            names,
            funnel=funnel,
            rejected=rejected,
        )

    def _label_column(self) -> str | None:
        """The column whose cells are labels with names."""
        columns = self._config.columns
        return columns.tags if self._config.label_kind == "tags" else columns.label

    def _local(self) -> dict[str, list[Path]]:
        folder = existing(Path(str(self._config.path)), "dataset.path")
        if folder.is_file():
            return {"train": [folder]}
        return local_splits(folder, self._config)

    def _tables(self) -> dict[str, Any]:
        """The hub's tables by our split names, downloaded or from the hub's own cache."""
        if self._hub is None:
            loaded = _load(self._config, *self._revision())
            splits = self._config.splits or _usual_splits(loaded)
            missing = [name for name in splits.values() if name not in loaded]
            if missing or "train" not in splits:
                what = f"{self._config.hub_id} has no split {', '.join(missing or ['train'])}"
                raise ConfigError(Problem(what, "dataset.splits", ", ".join(loaded), f"set dataset.splits.train={next(iter(loaded))}"))
            self._hub = {ours: loaded[theirs] for ours, theirs in splits.items()}
            self._names = splits
        return self._hub

    def _splits(self) -> dict[str, str]:
        """The hub's name of each split."""
        if not self._config.splits and self._names is None:
            self._tables()
        return self._config.splits or self._names or {}

    def _revision(self) -> tuple[str, Exception | None]:
        if self._resolved is None:
            self._resolved = _resolve(self._config)
        return self._resolved

    def _commit(self) -> str:
        """The commit that is read: what comes in a stream has no hash before it has come."""
        revision, failure = self._revision()
        if failure is not None:
            raise ConfigError(explain(self._config.hub_id, self._config.revision, failure)) from failure
        return revision


def local_splits(folder: Path, config: HubDataset) -> dict[str, list[Path]]:
    """The files of each split in a folder.

    They are named by split (train.tsv, dev.tsv; also train-00000-of-00002.parquet, or train/*.arrow as `save_to_disk` writes), in
    the folder itself, in `data/`, or in a folder of the configuration's name. A validation file that the hub's table does not have
    is used too.
    """
    places = [folder, folder / "data", *([folder / config.hub_config] if config.hub_config else [])]
    by_split = {name: files for name, stems in _STEMS.items() if (files := _first(places, stems))}
    wanted = dict(config.splits) or {name: name for name in _STEMS}
    if "validation" not in wanted.values():
        wanted["validation"] = "validation"
    splits = {ours: by_split[theirs] for ours, theirs in wanted.items() if theirs in by_split}
    if "train" not in splits or (config.splits.get("test") == "validation" and "test" not in splits):
        absent = "train" if "train" not in splits else config.splits["test"]
        names = ", ".join(f"{stem}.*" for stem in _STEMS[absent])
        why = f"; {_HIDDEN}, so its validation set serves as test" if absent == "validation" else ""
        inside = ", ".join(sorted(item.name for item in folder.iterdir())[:12]) or "nothing"
        raise ConfigError(Problem(
            f"no file of the {absent} split{why}", f"dataset.path={folder}", allowed=f"{names}; it holds {inside}",
            hint="name the files by their split, or use dataset=files",
        ))  # fmt: skip
    return splits


def _usual_splits(names: Iterable[str]) -> dict[str, str]:
    """The splits of a hub dataset under their usual names, by our names."""
    there = set(names)
    by_split = {split: next((name for name in stems if name in there), None) for split, stems in _STEMS.items()}
    return {ours: name for ours, name in by_split.items() if name is not None}


def _class_names(table: Any, column: str | None) -> list[str] | None:
    """The names of the classes whose numbers a column holds, where the hub states them; of a column of lists those of the items."""
    feature: Any = table.features or {}
    for name in [column] if column in feature else str(column).split("."):
        feature = feature.get(name) if isinstance(feature, Mapping) else None
    feature = getattr(feature, "feature", feature)
    names = getattr(feature, "names", None)
    return list(names) if names else None


def _first(places: Sequence[Path], stems: Sequence[str]) -> list[Path]:
    """The files of a split in the first place that has any."""
    for place in places:
        for stem in stems:
            whole = [file for file in sorted(place.glob(f"{stem}.*")) if _known(file) and file.name.split(".")[0] == stem]
            if len(whole) > 1:
                listed = ", ".join(file.name for file in whole)
                raise ConfigError(
                    Problem(f"several files of the {stem} split: {listed}", str(place), hint="leave one of them in the folder")
                )
            shards = sorted(place.glob(f"{stem}-*-of-*.parquet")) or sorted((place / stem).glob("*.arrow"))
            if whole or shards:
                return whole or shards
    return []


def _known(file: Path) -> bool:
    suffixes = [suffix.lower() for suffix in file.suffixes if suffix.lower() not in COMPRESSED]
    return file.is_file() and bool(suffixes) and suffixes[-1] in SUFFIXES


def _part(path: Path) -> Part:
    file = File(path, path.name)
    return Part(file.name, str(path), file.size, lambda how: pieces(file, format_of(path), how))


def _load(config: HubDataset, revision: str, failure: Exception | None) -> Any:
    import datasets

    shown = datasets.are_progress_bars_disabled()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    streaming = {"streaming": True} if config.stream else {}
    try:
        with _cache_only() if failure else nullcontext():
            return datasets.load_dataset(config.hub_id, config.hub_config, revision=revision, **streaming)
    except Exception as error:  # The hub raises a dozen kinds, which `explain` tells apart.
        raise ConfigError(_wrong_config(config, error) or explain(config.hub_id, config.revision, failure or error)) from error
    finally:
        if not shown:
            datasets.enable_progress_bars()


def _wrong_config(config: HubDataset, error: Exception) -> Problem | None:
    """The problem of a configuration that is missing or unknown, or of a dataset that is a script; None for another error."""
    text = str(error)
    if "Dataset scripts are no longer supported" in text:
        what = f"{config.hub_id} is a Python script, and code of a dataset is never run"
        hint = "use a revision with Parquet files, such as dataset.revision=refs/convert/parquet; or local files: dataset.path=DIR"
        return Problem(what, "dataset.hub_id", hint=hint)
    listed = re.search(r"(?:available configs: |Available: )\[(.*?)\]", text)
    if listed is None:
        return None
    names = [name.strip(" '\"") for name in listed[1].split(",")]
    guess = nearest(config.hub_config or "", names) or names[0]
    what = (
        f"{config.hub_id} has no configuration {config.hub_config}" if config.hub_config else f"{config.hub_id} has several configurations"
    )
    return Problem(what, "dataset.hub_config", ", ".join(names), f"set dataset.hub_config={guess}")


def _resolve(config: HubDataset) -> tuple[str, Exception | None]:
    """The commit that the revision names now; where the hub is out of reach, the name itself and why.

    Asked once, so that a missing network is known in a second: `load_dataset` alone tries for half a minute.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if offline():
        return config.revision, OSError(
            "it is not in the hub's cache, and the network is switched off (FINECOMB_OFFLINE or HF_HUB_OFFLINE)"
        )
    try:
        return HfApi().dataset_info(config.hub_id, revision=config.revision, timeout=10).sha, None
    except (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ConfigError(explain(config.hub_id, config.revision, error)) from error
    except Exception as error:
        return config.revision, error


@contextmanager
def _cache_only() -> Iterator[None]:
    """Let the hub's libraries look into their cache only; their own switch is read once, when they are imported."""
    import datasets
    import huggingface_hub

    places = [(datasets.config, "HF_HUB_OFFLINE"), (huggingface_hub.constants, "HF_HUB_OFFLINE")]
    before = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, True)
    try:
        yield
    finally:
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)


def _pieces(table: Any, name: str, how: How) -> Iterator[Table]:
    """A table of the hub, or a stream of it, as it comes."""
    count, given = Numbers(), table.with_format("arrow")
    try:
        for batch in given.iter(batch_size=_BATCH):
            names = names_of(batch.schema)
            yield arrow_table(name, names, select(batch, list(dict.fromkeys(how.choose(names)))), count, first=0)
    except (OSError, RuntimeError, ValueError) as error:  # The network's and the hub's own; what came before cannot stand for the whole.
        raise ConfigError(Problem(f"{name}: reading stopped after {count.next:,} rows: {str(error)[:300]}", "dataset.stream",
                                hint="run the command again; or fetch the whole first: dataset.stream=false")) from error  # fmt: skip


def _hash_table(table: Any) -> str:
    """Hash of a hub table's cells, whatever its chunks."""
    digest = hashlib.sha256(repr(sorted(table.column_names)).encode())
    for name in sorted(table.column_names):
        for cell in table[name][:]:
            digest.update(repr(cell).encode())
    return digest.hexdigest()


def _judged(chunks: Iterable[Rows], kind: str, names: Sequence[str] | None) -> Iterable[Rows]:
    """The chunks, after a look at the labels of each; what is in memory already is looked at at once. names: of the classes."""

    def each() -> Iterator[Rows]:
        for rows in chunks:
            _refuse_hidden(rows, kind)
            yield _with_names(rows, names) if kind == "tags" and names else rows

    return list(each()) if isinstance(chunks, list) else each()


def _with_names(rows: Rows, names: Sequence[str]) -> Rows:
    """Rows whose tags are names, where they are the numbers of names: the scheme of tags is judged by their names."""
    numbers = {str(number): name for number, name in enumerate(names)}
    if not all(tag in numbers for label in rows.label for tag in label):
        return rows
    return replace(rows, label=[[numbers[tag] for tag in label] for label in rows.label])


def _refuse_hidden(rows: Rows, kind: str) -> None:
    hidden = {"class": "-1", "number": -1.0}.get(kind)
    count = 0 if hidden is None else rows.label.count(hidden)
    if count and (kind == "class" or count == len(rows)):
        row = rows.label.index(hidden)
        hint = "use the dev (validation) split as test: dataset.splits={train: train, test: validation}; validation is split from train"
        raise ConfigError(Problem(f"{count:,} rows have the label -1: {_HIDDEN}", rows.place(row), hint=hint))
