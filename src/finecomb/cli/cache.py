"""`finecomb cache`."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from finecomb.cli.arguments import parser_of
from finecomb.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from finecomb.assets.pruning import Entry

SUMMARY = "list what the cache holds, remove what was not used for longest"
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?", re.IGNORECASE)


def main(args: list[str]) -> int:
    """List the cache, or remove entries from it."""
    examples = """  finecomb cache                              size and last use by kind
  finecomb cache list prepared shards/stage   each entry of these kinds
  finecomb cache clean --keep 10GB --dry-run  what would be removed
  finecomb cache clean --keep 10GB            remove the least recently used entries until 10 GB are left

The cache holds downloads, prepared data, cleaned rows and tokens, in $FINECOMB_CACHE (default: ~/.cache/finecomb). Everything in it can be
fetched or computed again. Entries that are locked or open stay, and so does all that prepare uses while one runs. Models and data of the
Hugging Face hub are in the hub's own cache: hf cache."""
    from finecomb.assets import pruning

    parser = parser_of("cache", SUMMARY, examples)
    parser.add_argument("action", nargs="?", default="list", choices=("list", "clean"))
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="list: show each entry of these kinds; clean: only these kinds")
    parser.add_argument("--keep", metavar="SIZE", help="clean: how much may stay, such as 500MB, 10GB or 0")
    parser.add_argument("--dry-run", action="store_true", help="clean: only print what would be removed")
    given = parser.parse_args(args)
    if (given.keep is None) == (given.action == "clean"):
        raise ConfigError(Problem("--keep SIZE belongs to clean, which needs it", "command line", hint="finecomb cache clean --keep 10GB"))
    keep = None if given.keep is None else _bytes(given.keep)
    entries = pruning.entries()
    kinds = sorted({entry.name for entry in entries})
    if unknown := [kind for kind in given.kinds if kind not in kinds]:
        raise ConfigError(Problem(f"the cache holds nothing of kind {unknown[0]}", "command line", ", ".join(kinds) or "it is empty"))
    if given.kinds:
        entries = [entry for entry in entries if entry.name in given.kinds]
    if keep is None:
        _list(entries, each=bool(given.kinds))
        return 0
    gone, busy = pruning.clean(entries, keep, dry_run=given.dry_run)
    if given.dry_run:
        _list(gone, each=True)
    freed, total = sum(entry.size for entry in gone), sum(entry.size for entry in entries)
    verb = "would be removed" if given.dry_run else "removed"
    print(f"{len(gone):,} entries, {_size(freed)} {verb}; {_size(total - freed)} left")
    if total - freed > keep:
        print(f"{len(busy):,} entries are in use and stay")
    return 0


def _list(entries: Sequence[Entry], *, each: bool) -> None:
    """Print one line for each entry, or one for each kind, with sizes and last use."""
    from finecomb.assets.cache import cache_dir

    kinds = dict.fromkeys(entry.name for entry in entries)
    groups = {str(entry.path.relative_to(cache_dir())): [entry] for entry in sorted(entries, key=lambda entry: entry.used)}
    if not each:
        groups = {kind: [entry for entry in entries if entry.name == kind] for kind in kinds}
    width = max([len(name) for name in groups] + [len("total")])
    for name, group in groups.items():
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(max(entry.used for entry in group)))
        count, holds = ("", "") if each else (f"{len(group):>9,} entries  ", f"  {group[0].kind.holds}")
        print(f"{name:<{width}}  {count}{_size(sum(entry.size for entry in group)):>14}  last used {used}{holds}".rstrip())
    print(f"{'total':<{width}}  {'' if each else f'{len(entries):>9,} entries  '}{_size(sum(e.size for e in entries)):>14}  {cache_dir()}")


def _size(count: int) -> str:
    from finecomb.assets.cache import megabytes

    return megabytes(count)


def _bytes(text: str) -> int:
    size = _SIZE.fullmatch(text.strip())
    if size is None:
        raise ConfigError(Problem(f"{text!r} is not a size", "--keep", "a number with kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 10GB"))
    return int(float(size[1]) * _UNITS[(size[2] or "").lower()])
