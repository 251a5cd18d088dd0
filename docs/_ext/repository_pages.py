"""Copies what the documentation shows from other folders of the repository, each time it is built: notebooks, studies and figures.

The copies are not committed. A copy keeps the time of its original, so that Sphinx reads again only what has changed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sphinx.application import Sphinx

# Folder, patterns inside it.
SHOWN = {
    "notebooks": ["*.ipynb"],
    "experiments": ["*/README.md", "*/study.yaml", "*/*.py", "*/results/*.md", "*/results/report.html", "*/results/figures/*.svg"],
    "benchmarks": ["figures/*.svg"],
}
# Pages that are reached by a link from their study and are left out of the table of contents.
_ORPHAN = "---\norphan: true\n---\n\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Copy before Sphinx looks for its sources."""
    app.connect("builder-inited", lambda app: copy(Path(app.srcdir).parent, Path(app.srcdir)))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def copy(root: Path, target: Path) -> None:
    """Copy what is shown from `root` to `target`, and remove copies whose original is gone."""
    for folder, patterns in SHOWN.items():
        originals = {path.relative_to(root): path for pattern in patterns for path in (root / folder).glob(pattern)}
        for path in [path for path in (target / folder).rglob("*") if path.is_file() and path.relative_to(target) not in originals]:
            path.unlink()
        for relative, path in originals.items():
            copied = target / relative
            if copied.is_file() and copied.stat().st_mtime_ns == path.stat().st_mtime_ns:
                continue
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copied)
            if path.parent.name == "results" and path.suffix == ".md":
                copied.write_text(_ORPHAN + path.read_text(encoding="utf-8"), encoding="utf-8")
                shutil.copystat(path, copied)
