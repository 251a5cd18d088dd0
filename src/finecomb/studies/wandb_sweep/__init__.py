"""A W&B sweep.yaml without W&B's server: read, checked against the real config, and run by finecomb's own search."""
