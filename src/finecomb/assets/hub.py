"""`hub:owner/name@revision`: a model's files from the Hugging Face hub, without its pickles and without its code."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from finecomb.assets.cache import offline
from finecomb.core.errors import ConfigError, Problem

# Weights as safetensors, configuration and tokenizer. Exports to other formats lie in folders of their own, which are left out.
ALLOWED = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model", "*.jinja"]
IGNORED = ["*/*", "*.bin", "*.bin.index.json", "*.py", "*.h5", "*.msgpack", "*.onnx"]


def parse(rest: str) -> tuple[str, str]:
    """`owner/name@revision` -> (owner/name, revision); without a revision, main."""
    name, _, revision = rest.partition("@")
    return name, revision or "main"


def snapshot(rest: str, *, progress: bool) -> Path:
    """The directory of that revision in the hub's own cache, fetched where it is not there yet."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    name, revision = parse(rest)
    options: dict[str, Any] = {"revision": revision, "allow_patterns": ALLOWED, "ignore_patterns": IGNORED, "local_files_only": offline()}
    were_disabled = are_progress_bars_disabled()
    if not progress:
        disable_progress_bars()
    try:
        directory = Path(snapshot_download(name, **options))
    except Exception as error:  # The hub raises a dozen kinds (HTTP, DNS, offline, missing, gated), which `_explain` tells apart.
        raise ConfigError(explain(name, revision, error)) from error
    finally:
        if not were_disabled:
            enable_progress_bars()
    if not any(directory.glob("*.safetensors")):
        raise ConfigError(Problem(
            f"{name}@{revision} holds no safetensors weights, and pickled ones are not read: loading a pickle runs code",
            f"hub:{name}@{revision}",
            hint="name a revision that holds them (many repositories have one at refs/pr/N), or convert it and set model.name_or_path=DIR",
        ))  # fmt: skip
    return directory


def explain(name: str, revision: str, error: Exception) -> Problem:
    """What an error of the hub's libraries means for the user, with the ways out."""
    kind = type(error).__name__
    where = f"hub:{name}@{revision}"
    if kind in ("RepositoryNotFoundError", "RevisionNotFoundError", "GatedRepoError", "HFValidationError"):
        return Problem(
            f"the hub does not give {name} at revision {revision} ({kind})",
            where,
            hint="check the name and the revision; a private or gated model wants `hf auth login` and its license accepted on its page",
        )
    if offline():
        first, way = "offline mode is on, and the hub's cache does not hold it", "leave FINECOMB_OFFLINE and HF_HUB_OFFLINE unset"
    else:
        first, way = textwrap.shorten(str(error), 200, placeholder=" ...") or kind, "check the network"
    return Problem(
        f"cannot fetch {name} from the hub: {first}",
        where,
        hint=f"{way}; or use local files: model.name_or_path=DIR (a model), dataset.path=DIR (a dataset); "
        "or fetch it where there is a network and copy the hub's cache here (HF_HOME), then HF_HUB_OFFLINE=1",
    )
