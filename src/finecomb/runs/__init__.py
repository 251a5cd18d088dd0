"""The record: run directories, their locks and states, where a run came from, and an index over many of them. Imports no torch."""
