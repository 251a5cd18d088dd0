"""Phone numbers in a text: of every country with a country code, and in the national formats of chosen countries (phonenumbers)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.scripts import UNSPACED

# A letter, digit or underscore that touches a number or an address makes it part of something else. Scripts without spaces touch anything.
WORD = rf"[^\W{UNSPACED}]"
_GAP = r"[ .\-/()+~\u00a0\u2010\u2011\u2013]"
# Digits with what may be written between the digits of a phone number. Most texts have none with as many digits.
_RUN = re.compile(rf"\d(?:{_GAP}{{0,4}}\d){{6,}}")
_MOST_DIGITS = 40  # a longer run is a table of numbers
_BEFORE = re.compile(rf"(?:{WORD}|[+-]|\d[.\u00a0 ]|IS[BS]N[:-]?(?:1[03][:-]?)? ?)\Z", re.IGNORECASE)
_AFTER = re.compile(rf"{WORD}|[.,-]\d")
_DECIMAL = re.compile(r"(?:0|[1-9]\d*)\.\d+")
# Of what phonenumbers takes: decimal numbers, the end of a sentence, a minus or plus sign, and an ISBN-10 with hyphens.
_OTHER = re.compile(
    r"[^\d+]*0\.|[^\d+]*(?:0|[1-9]\d*)\.\d[^.]*\Z|.*(?:\. |\s-\d|\+ )|\[|\d[- ]\d{2,7}[- ]\d{1,6}[- ]\d\Z",
    re.DOTALL,
)
_DATE = re.compile(r"(?:19|20)\d\d([-/.])[01]?\d\1[0-3]?\d(?!\d)")
_ZERO = re.compile(r"(?<!\d)0[1-9]")
# A form that only phone numbers have: those of films and examples belong to nobody, and so are not valid.
_NORTH_AMERICAN = re.compile(r"\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}-\d{3}-\d{4}")
_CONTEXT = 12  # characters around a run that decide whether it is a number of its own


class Phones:
    """Finds phone numbers. regions: ISO 3166 codes of the countries whose national formats are found.

    Raises:
        ConfigError: a region is not known.
    """

    def __init__(self, regions: Sequence[str]) -> None:
        import phonenumbers

        if unknown := [name for name in regions if name not in phonenumbers.SUPPORTED_REGIONS]:
            what = f"phonenumbers does not know the region {unknown[0]!r}"
            raise ConfigError(Problem(what, "personal_data.regions", "ISO 3166 codes in capitals, such as US, GB, DE"))
        # Regions whose numbers always begin with 0, and those where they may begin with another digit.
        self._zero = [name for name in regions if _always_prefixed(name)]
        self._any = [name for name in regions if name not in self._zero]

    def replace(self, text: str, placeholder: str) -> str:
        """The text with the placeholder for each number."""
        parts, start = [], 0
        for low, high in self._found(text):
            parts += [text[start:low], placeholder]
            start = high
        return "".join([*parts, text[start:]])

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        at = 0
        for run in _RUN.finditer(text):
            low = max(at, run.start() - _CONTEXT)
            around = text[low : run.end() + _CONTEXT]
            for start, end in sorted(set(self._candidates(around, run[0], text[low : run.start()])), key=lambda each: (each[0], -each[1])):
                first, last = low + start, low + end
                alone = not _BEFORE.search(text, max(0, first - _CONTEXT), first) and not _AFTER.match(text, last)
                if first >= at and alone and not _OTHER.match(text[first:last]):
                    yield first, last
                    at = last

    def _candidates(self, text: str, run: str, before: str) -> Iterator[tuple[int, int]]:
        """Places of what may be numbers in a run and its surroundings. before: what precedes the run."""
        from phonenumbers import Leniency, PhoneNumberMatcher

        plus = "+" in run or "+" in before[-3:]
        bare = run.isdigit()
        if not plus and (_DECIMAL.fullmatch(run) or (bare and not 9 <= len(run) <= 15)):
            return
        if sum(map(str.isdigit, run)) > _MOST_DIGITS:
            return
        yield from (found.span() for found in _NORTH_AMERICAN.finditer(text))
        if plus:
            # With a country code a number of the right length is enough: examples are personal data to whoever reads them.
            yield from ((found.start, found.end) for found in PhoneNumberMatcher(text, None, Leniency.POSSIBLE))
        if run.startswith("00"):
            # The prefix of most countries for calls abroad, whatever the chosen regions use.
            abroad = re.sub(r"(?<!\d)00(?=[ (]{0,2}[1-9])", " +", text)
            yield from (
                (found.start - 1, found.end) for found in PhoneNumberMatcher(abroad, None, Leniency.VALID) if text[found.start] == "0"
            )
        for region in self._zero if _ZERO.search(run) else ():
            yield from ((found.start, found.end) for found in PhoneNumberMatcher(text, region, Leniency.VALID))
        if (bare and run[0] != "0") or _DATE.match(run):
            return
        # Without a leading 0 only groups of digits distinguish a phone number from other numbers.
        leniency = Leniency.VALID if run[0] == "0" else Leniency.STRICT_GROUPING
        for region in self._any:
            for found in PhoneNumberMatcher(text, region, leniency):
                if found.raw_string[0] == "0" or not found.raw_string.isdigit():
                    yield found.start, found.end


@cache
def _always_prefixed(region: str) -> bool:
    """Whether numbers of a region are never written without the 0 for calls inside the country."""
    from phonenumbers import (
        Leniency,
        PhoneMetadata,
        PhoneNumberMatcher,
        PhoneNumberType,
        example_number_for_type,
        national_significant_number,
    )

    metadata = PhoneMetadata.metadata_for_region(region)
    kinds = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE)
    numbers = [national_significant_number(found) for kind in kinds if (found := example_number_for_type(region, kind)) is not None]
    taken = any(found for number in numbers for found in PhoneNumberMatcher(number, region, Leniency.VALID))
    return metadata is not None and metadata.national_prefix == "0" and not taken
