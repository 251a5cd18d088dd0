"""The texts of web archives: WARC and WET files, and records that an index of captures names."""

from finecomb.data.dataset.common_crawl.archive_source import CommonCrawlSource

__all__ = ["CommonCrawlSource"]
