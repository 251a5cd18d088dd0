"""Where bytes come from: distributions of the package registry, the hub, files and URLs; pinned by hash, kept in one cache."""

from finecomb.assets.cache import cache_dir, hash_directory, hash_file, lock, offline, room_on_disk
from finecomb.assets.source import Local, fetch

__all__ = ["Local", "cache_dir", "fetch", "hash_directory", "hash_file", "lock", "offline", "room_on_disk"]
