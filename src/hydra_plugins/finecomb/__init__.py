"""Launcher and sweeper with which Hydra's own -m starts finecomb's workers."""
