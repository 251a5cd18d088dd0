"""finecomb: prepare text data, fine-tune language models on it, and find out which way of tuning is really better."""

__version__ = "0.1.0"
