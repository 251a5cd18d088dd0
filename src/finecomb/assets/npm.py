"""`npm:name@version!member`: a file or folder inside a tarball of the npm registry, fetched as a file; npm itself is not needed.

The registry is the one that npm would use: `npm_config_registry`, else `registry=` in the user's `.npmrc`, else in the global one, else
npm's own. Tokens in these files are not read, so that a registry which requires a login cannot be used.
"""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

from finecomb.assets.cache import DISTRIBUTIONS
from finecomb.assets.client import FetchPolicy, fetch_whole
from finecomb.core.errors import ConfigError, Problem

DEFAULT_REGISTRY = "https://registry.npmjs.org"
_GLOBAL_FILES = ("/etc/npmrc", "/usr/etc/npmrc", "/usr/local/etc/npmrc")
_LIMIT_BYTES = 16 * 10**9
# Like pip's index, the registry is named by this machine's settings, never by a dataset's config, and may be on a private network; what it
# serves is pinned by hash.
_POLICY = FetchPolicy("finecomb", retries=2, allow_private=True)


def parse(rest: str) -> tuple[str, str, list[str]]:
    """`name@version!member!inner` -> name, version, [member, inner]; the name may have a scope, as in `@scope/name`."""
    address, mark, members = rest.partition("!")
    name, at, version = address.rpartition("@")
    named = re.fullmatch(r"(@[a-z0-9][\w.-]*/)?[a-z0-9][\w.-]*", name) and re.fullmatch(r"\d[\w.+-]*", version)
    if not (at and mark and members and named):
        raise ConfigError(Problem(f"cannot read the source npm:{rest}", allowed="npm:name@version!path/of/member[!member of that archive]"))
    return name, version, members.split("!")


def registry() -> str:
    """The address of the registry, without a slash at its end."""
    # npm takes these names in capitals too.
    settings = {name.lower(): value for name, value in os.environ.items() if name.lower().startswith("npm_config_") and value}
    files = (settings.get("npm_config_userconfig", Path.home() / ".npmrc"), *_GLOBAL_FILES)
    named = settings.get("npm_config_registry") or next(filter(None, map(_registry_in, files)), DEFAULT_REGISTRY)
    return named.rstrip("/")


def fetch_archive(name: str, version: str, sha256: str, *, progress: bool) -> Path:
    """The tarball with that hash, from the cache or from the registry. The caller holds the lock."""
    url = f"{registry()}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"
    try:
        return fetch_whole(url, DISTRIBUTIONS.path(sha256), _POLICY, limit=_LIMIT_BYTES, sha256=sha256, progress=progress)
    except ConfigError as error:
        hint = "check the network; npm_config_registry names another registry; or name local files (dataset.path=)"
        raise ConfigError(
            dataclasses.replace(problem, what=f"{name}@{version} of the npm registry: {problem.what}", hint=hint)
            for problem in error.problems
        ) from error


def _registry_in(file: str | Path) -> str | None:
    """The value of `registry` in an .npmrc, or None. A file that cannot be read counts as absent, as it does for npm."""
    try:
        lines = Path(file).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    values = [line.partition("=")[2].strip() for line in lines if re.match(r"\s*registry\s*=", line)]
    return values[-1] if values else None
