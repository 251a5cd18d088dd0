"""Datasets: one class for each kind of source, built from its schema."""

from __future__ import annotations

from finecomb.config.plugins import find_build
from finecomb.config.schema import dataset as schema
from finecomb.data.dataset.source_protocol import Raw, Source


def build(config: schema.Dataset, *, unlabeled: bool = False) -> Source:
    """The source of a dataset's config. Nothing is fetched or read yet.

    unlabeled: training rows of one's own files may lack a label, because an annotator gives it.
    """
    if own := find_build("dataset", config.name):
        return own(config)
    # Each is imported when it is wanted: those that collect from the network bring much along.
    if isinstance(config, schema.MovieReviews):
        from finecomb.data.dataset import movie_reviews

        editorials = isinstance(config, schema.NytEditorials)
        return movie_reviews.NytEditorialsSource(config) if editorials else movie_reviews.MovieReviewsSource(config)
    if isinstance(config, schema.Fetched | schema.PythonFunctions | schema.PoFiles | schema.Sst5):
        return _of_its_own_form(config)
    if isinstance(config, schema.ParallelText):
        from finecomb.data.dataset.parallel import ParallelTextSource

        return ParallelTextSource(config)
    if isinstance(config, schema.HubDataset):
        from finecomb.data.dataset.hub import HubSource

        return HubSource(config)
    if isinstance(config, schema.KnownFiles):
        from finecomb.data.dataset.known_files import KnownFilesSource

        return KnownFilesSource(config)
    if isinstance(config, schema.Files):
        from finecomb.data.dataset.files import FilesSource

        return FilesSource(config, unlabeled=unlabeled)
    return _from_the_network(config)


def _of_its_own_form(config: schema.Dataset) -> Source:
    if isinstance(config, schema.ShopReviews):
        from finecomb.data.dataset.shop_reviews import ShopReviewsSource

        return ShopReviewsSource(config)
    if isinstance(config, schema.BrownPos):
        from finecomb.data.dataset.brown_pos import BrownPosSource

        return BrownPosSource(config)
    if isinstance(config, schema.BbcTopics):
        from finecomb.data.dataset.bbc_news import BbcNewsSource

        return BbcNewsSource(config, headlines=isinstance(config, schema.BbcHeadlines))
    if isinstance(config, schema.Quoref):
        from finecomb.data.dataset.quoref import QuorefSource

        return QuorefSource(config)
    if isinstance(config, schema.PythonFunctions):
        from finecomb.data.dataset.python_functions import PythonFunctionsSource

        return PythonFunctionsSource(config)
    if isinstance(config, schema.PoFiles):
        from finecomb.data.dataset.po_files import PoFilesSource

        return PoFilesSource(config)
    if isinstance(config, schema.Sst5):
        from finecomb.data.dataset import sst5

        return sst5.build(config)
    raise TypeError(f"no dataset for a {type(config).__name__}")


def _from_the_network(config: schema.Dataset) -> Source:
    if isinstance(config, schema.Crawl):
        from finecomb.data.dataset.crawl import CrawlSource

        return CrawlSource(config)
    if isinstance(config, schema.Wikipedia):
        from finecomb.data.dataset.wikipedia import WikipediaSource

        return WikipediaSource(config)
    if isinstance(config, schema.CommonCrawl):
        from finecomb.data.dataset.common_crawl import CommonCrawlSource

        return CommonCrawlSource(config)
    raise TypeError(f"no dataset for a {type(config).__name__}")


__all__ = ["Raw", "Source", "build"]
