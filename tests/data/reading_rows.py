"""Reading one's own files without preparing them."""

from pathlib import Path
from typing import Any

from data_configs import make_dataset

from finecomb.data.dataset import Raw, build
from finecomb.data.dataset.row_stream import _joined
from finecomb.data.dataset.rows import Rows


def source(train: Any, **changes: Any) -> Any:
    """A source of these files; without labels unless columns say otherwise."""
    given = [str(each) for each in train] if isinstance(train, list) else str(train) if isinstance(train, Path) else train
    files = {"train": given} | {name: str(value) for name, value in changes.pop("files", {}).items()}
    columns = {"label": None} | changes.pop("columns", {})
    return build(make_dataset("files", files=files, columns=columns, **changes))


def read(train: Any, kind: str = "none", **changes: Any) -> tuple[Rows, Raw]:
    """All rows of train, and what was said of them."""
    raw = source(train, **changes).read(kind)
    rows = _joined(list(raw.splits["train"]))
    for split in raw.splits.keys() - {"train"}:
        list(raw.splits[split])
    return rows, raw


def reasons(raw: Raw) -> dict[str, int]:
    """How many rows were left out, by reason, in all splits together."""
    found: dict[str, int] = {}
    for entry in raw.funnel:
        assert entry["step"] == "read"
        assert entry["rows_in"] - entry["rows_out"] == sum(entry["reasons"].values())
        for reason, count in entry["reasons"].items():
            found[reason] = found.get(reason, 0) + count
    return found


def places(raw: Raw) -> list[tuple[str, int | None]]:
    """File and line of each row that was left out."""
    return [(row["file"], row["line"]) for row in raw.rejected]
