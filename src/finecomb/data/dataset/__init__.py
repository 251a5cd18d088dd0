"""Datasets: one class for each kind of source, built from its schema."""

from __future__ import annotations

from finecomb.config.plugins import find_build
from finecomb.config.schema import dataset as schema
from finecomb.data.dataset.common_crawl import CommonCrawlSource
from finecomb.data.dataset.crawl import CrawlSource
from finecomb.data.dataset.files import FilesSource
from finecomb.data.dataset.hub import HubSource
from finecomb.data.dataset.movie_reviews import MovieReviewsSource, NytEditorialsSource
from finecomb.data.dataset.shop_reviews import ShopReviewsSource
from finecomb.data.dataset.source import Raw, Source
from finecomb.data.dataset.wikipedia import WikipediaSource


def build(config: schema.Dataset, *, unlabelled: bool = False) -> Source:
    """The source of a dataset's config. Nothing is fetched or read yet.

    unlabelled: training rows of one's own files may lack a label, because an annotator gives it.
    """
    if own := find_build("dataset", config.name):
        return own(config)
    if isinstance(config, schema.NytEditorials):
        return NytEditorialsSource(config)
    if isinstance(config, schema.MovieReviews):
        return MovieReviewsSource(config)
    if isinstance(config, schema.ShopReviews):
        return ShopReviewsSource(config)
    if isinstance(config, schema.HubDataset):
        return HubSource(config)
    if isinstance(config, schema.Files):
        return FilesSource(config, unlabelled=unlabelled)
    if isinstance(config, schema.Crawl):
        return CrawlSource(config)
    if isinstance(config, schema.Wikipedia):
        return WikipediaSource(config)
    if isinstance(config, schema.CommonCrawl):
        return CommonCrawlSource(config)
    raise TypeError(f"no dataset for a {type(config).__name__}")


__all__ = ["Raw", "Source", "build"]
