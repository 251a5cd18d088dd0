"""The articles of a MediaWiki dump: reading it, wikitext to text, the templates that carry text."""

from finecomb.data.dataset.wikipedia.dump_source import WikipediaSource

__all__ = ["WikipediaSource"]
