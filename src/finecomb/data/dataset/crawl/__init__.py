"""`dataset=crawl`: a polite crawler of web sites.

Read in this order: `urls.py` (one spelling of an address, and which may be asked for), `fetch.py` (one request within its limits),
`robots.py` (what a site allows), `store.py` (frontier and pages in SQLite), `crawler.py` (who is asked
when), `crawl_source.py` (a finished crawl as rows).
"""

from finecomb.data.dataset.crawl.crawl_source import CrawlSource

__all__ = ["CrawlSource"]
