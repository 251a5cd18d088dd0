"""Cleaners: a recipe is an ordered mapping of named steps, each of one kind below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from finecomb.config.schema.base import option


@dataclass
class Cleaner:
    """A recipe."""

    name: str = option("name of the choice")
    # Values are the step's own fields (below) and, where the key is not the kind, `step: KIND`. null removes a step.
    steps: dict[str, Any] = option("named steps, in order")
    # No part of a run's identity: the hash of the rows says what this changed.
    keep_given_test: bool = option(
        "a test set that comes with the data loses no row: duplicates leave train and validation; false: it is cleaned like the others",
        identity=False,
        before=False,
    )


@dataclass
class Unicode:
    """One Unicode normal form for every text."""

    form: str = option("Unicode normal form", allowed=("NFC", "NFKC"))


@dataclass
class Whitespace:
    """White space at the ends goes; runs become one space."""

    collapse: bool = option("runs of white space become one space")


@dataclass
class Empty:
    """Texts with nothing in them go."""

    min_characters: int = option("drop texts with fewer characters than this that are not white space", low=1)


@dataclass
class Duplicates:
    """Exact duplicates go, before any split is carved."""

    across: bool = option("also drop training and validation rows whose text stands in a later split (test wins, then validation)")


@dataclass
class Mojibake:
    """Text decoded by a wrong encoding is mended (ftfy)."""


@dataclass
class Controls:
    """Control and zero-width characters go; line ends become line feeds."""


@dataclass
class Html:
    """Tags, scripts and entities go."""


@dataclass
class Ligatures:
    """Typographic ligatures become their letters."""


@dataclass
class Lowercase:
    """Lower case."""


@dataclass
class Punctuation:
    """Plain quotes and dashes."""


@dataclass
class Placeholders:
    """One word for every URL, and for every number."""

    url: Optional[str] = option("what stands for a URL; null: URLs stay")
    number: Optional[str] = option("what stands for a number; null: numbers stay")


@dataclass
class PersonalData:
    """Placeholders for e-mail and IP addresses, phone and card numbers."""

    email: bool = option("e-mail addresses become [EMAIL]")
    ip: bool = option("public IPv4 and IPv6 addresses become [IP]")
    phone: bool = option("phone numbers become [PHONE]")
    card: bool = option("card numbers with a right check digit become [CARD]")
    placeholder: str = option("what is put there; {kind} becomes EMAIL, IP, PHONE or CARD", before="[{kind}]")
    regions: list[str] = option(
        "countries whose national phone formats are found, as ISO 3166 codes; numbers with + are found of every country",
        before=["US", "GB", "DE", "FR"],
    )


@dataclass
class Length:
    """Too short and too long texts go."""

    min_characters: Optional[int] = option("least number of characters; null: no bound", low=0)
    max_characters: Optional[int] = option("most characters", low=1)
    min_words: Optional[int] = option("least number of words", low=0)
    max_words: Optional[int] = option("most words", low=1)


@dataclass
class Language:
    """Texts in other languages go (py3langid)."""

    keep: list[str] = option("ISO 639-1 codes of the languages that stay")
    min_score: float = option("least probability of the language", low=0.0, high=1.0)


@dataclass
class Patterns:
    """Texts go by regular expressions (RE2: linear time)."""

    drop: list[str] = option("texts that match any of these go")
    keep: list[str] = option("texts that match none of these go; empty: no such rule")
    any_case: bool = option("capitals do not count")


@dataclass
class WordList:
    """Texts with words of a list go."""

    words: list[str] = option("words or phrases")
    file: Optional[str] = option("a file with one on each line")
    max_count: int = option("how many occurrences are still kept", low=0)


@dataclass
class GopherQuality:
    """Gopher's quality rules (arXiv:2112.11446)."""

    language: Optional[str] = option("language the stop words are of: mostly other texts are refused; null: do not ask")
    min_words: int = option("least number of words", low=0)
    max_words: int = option("most words", low=1)
    min_mean_word_length: float = option("least mean word length", low=0)
    max_mean_word_length: float = option("greatest mean word length", low=0)
    max_symbols_per_word: float = option("most hash signs for each word, and most ellipses", low=0)
    max_bullet_lines: float = option("greatest share of lines that begin with a bullet", low=0, high=1)
    max_ellipsis_lines: float = option("greatest share of lines that end in an ellipsis", low=0, high=1)
    min_alphabetic_words: float = option("least share of words with a letter", low=0, high=1)
    min_stop_words: int = option("least number of different stop words, as they are written", low=0)
    stop_words: list[str] = option("the stop words")


@dataclass
class GopherRepetition:
    """Gopher's repetition rules (arXiv:2112.11446), as shares."""

    max_duplicate_lines: float = option("of lines", low=0, high=1)
    max_duplicate_paragraphs: float = option("of paragraphs", low=0, high=1)
    max_duplicate_line_characters: float = option("of characters, in duplicated lines", low=0, high=1)
    max_duplicate_paragraph_characters: float = option("of characters, in duplicated paragraphs", low=0, high=1)
    max_top_ngram_characters: list[float] = option("of characters, in the most frequent 2-, 3- and 4-gram")
    max_repeated_ngram_characters: list[float] = option("of characters, in repeated 5- to 10-grams")


@dataclass
class C4:
    """C4's rules (Raffel et al. 2020)."""

    language: str = option("language the rules are of: mostly other texts are refused")
    terminal_punctuation: bool = option("lines that do not end in punctuation go")
    min_words_per_line: int = option("lines with fewer words go", low=0)
    max_word_length: int = option("lines with a longer word go", low=1)
    no_braces: bool = option("texts with a brace go: they are code")
    remove_citations: bool = option("[1], [edit] and [citation needed] go")
    min_sentences: int = option("texts with fewer sentences go", low=0)


@dataclass
class FineWeb:
    """FineWeb's own rules (arXiv:2406.17557)."""

    min_terminal_lines: float = option("least share of lines that end in punctuation", low=0, high=1)
    short_line: int = option("a line of at most so many characters is short", low=1)
    max_short_lines: float = option("greatest share of short lines", low=0, high=1)
    max_duplicate_line_characters: float = option("greatest share of characters in duplicated lines", low=0, high=1)
    max_newlines_per_word: float = option("most line ends for each word", low=0)


@dataclass
class NearDuplicates:
    """Near-duplicates go: MinHash and LSH, every candidate checked by exact Jaccard similarity."""

    threshold: float = option("Jaccard similarity of word n-grams from which texts count as the same", low=0.05, high=1.0)
    ngram: int = option("words in an n-gram", low=1, high=50)
    permutations: int = option(
        "length of the signatures; bands are chosen so that 95 % of pairs at the threshold are found", low=8, high=1024
    )
    keep: str = option(
        "which row of a cluster stays; all: none goes, and splits are carved by cluster",
        allowed=("first", "longest", "best_score", "source_priority", "all"),
    )
    score: Optional[str] = option(
        "keep=best_score: the score of an earlier step, as step.score; the row with the highest stays", before=None
    )
    sources: list[str] = option("keep=source_priority: sources of the rows, in the order in which their rows stay", before=[])
    index: Optional[str] = option("a folder that prepare left with write_index=true: rows near to one of its rows go too", before=None)
    write_index: bool = option("prepare writes an index of the rows it delivers, for later corpora", before=False)
    max_cluster_share: float = option("warn when one cluster holds a greater share of all rows", low=0, high=1, before=0.1)


@dataclass
class Decontaminate:
    """Training and validation rows that share long n-grams with a held-out split are dropped."""

    ngram: int = option("words in an n-gram", low=2, high=50)
    max_matches: int = option("n-grams in more rows of a held-out split than this are phrases and do not count", low=1)


@dataclass
class RepeatedLines:
    """Lines that stand in many texts are taken out."""

    max_texts: int = option("a line may stand in so many training texts", low=1)
    min_words: int = option("shorter lines are left alone", low=0)


@dataclass
class Sentences:
    """Of spans of sentences that stand more than once all but one go (C4: three sentences)."""

    span: int = option("sentences in a span", low=1)
    min_words_left: int = option("texts that lose a span and are left with fewer words go, unless they hold the last copy of one", low=0)


@dataclass
class Paragraphs:
    """Of paragraphs or lines that stand more than once all but the first go."""

    unit: str = option("what is compared; paragraphs are parted by blank lines", allowed=("paragraph", "line"))
    min_words: int = option("shorter ones are left alone", low=0)
    min_words_left: int = option("texts that lose some and are left with fewer words go, unless they hold the last copy of one", low=0)


@dataclass
class Substrings:
    """Of long runs of words that stand more than once all but the first go (Lee et al. 2022)."""

    min_words: int = option("runs of so many words or more are found", low=5, high=1000)
    min_words_left: int = option("texts that lose some and are left with fewer words go, unless they hold the last copy of one", low=0)


@dataclass
class Perplexity:
    """Texts unlike a reference go, by a model of its characters."""

    reference: str = option("a text file that is like what is to be kept")
    order: int = option("characters in an n-gram of the model", low=1, high=10)
    min_perplexity: Optional[float] = option("least perplexity for each character; null: no bound", low=1)
    max_perplexity: Optional[float] = option("greatest perplexity for each character; null: no bound", low=1)


@dataclass
class Predicate:
    """A function of a plug-in's PREDICATES judges each text."""

    function: str = option("its name there; it takes a text and returns true or false, or a number")
    min_score: Optional[float] = option("least number that is kept, true being 1; null: no bound")
    max_score: Optional[float] = option("greatest number that is kept; null: no bound")


@dataclass
class Spelling:
    """Rare misspellings are corrected by one map for the whole corpus."""

    min_length: int = option("shorter words are left alone", low=2)
    max_count: int = option("words that occur more often are left alone", low=1)
    min_ratio: int = option("the correction is at least so many times as frequent in the corpus", low=1)
    two_edits_from: int = option("words of this length on may differ in two edits", low=3)
    dictionary: Optional[str] = option("a file of words, one on each line, or hunspell's .dic; null: English, as it comes with symspellpy")
    map: Optional[str] = option("a map that was written before and perhaps edited; null: build one")


STEPS = {
    "unicode": Unicode,
    "whitespace": Whitespace,
    "empty": Empty,
    "duplicates": Duplicates,
    "mojibake": Mojibake,
    "controls": Controls,
    "html": Html,
    "ligatures": Ligatures,
    "lowercase": Lowercase,
    "punctuation": Punctuation,
    "placeholders": Placeholders,
    "personal_data": PersonalData,
    "length": Length,
    "language": Language,
    "patterns": Patterns,
    "word_list": WordList,
    "gopher_quality": GopherQuality,
    "gopher_repetition": GopherRepetition,
    "c4": C4,
    "fineweb": FineWeb,
    "near_duplicates": NearDuplicates,
    "decontaminate": Decontaminate,
    "repeated_lines": RepeatedLines,
    "sentences": Sentences,
    "paragraphs": Paragraphs,
    "substrings": Substrings,
    "perplexity": Perplexity,
    "predicate": Predicate,
    "spelling": Spelling,
}
CHOICES = {name: Cleaner for name in ("none", "basic", "web", "gopher", "c4", "fineweb", "classification", "code", "spelling")}
