"""The Python API: what `import finecomb` offers, and what the command line calls."""
