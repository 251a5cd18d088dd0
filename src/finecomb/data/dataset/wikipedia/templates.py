"""Templates that carry text, and what each prints. All others print nothing and are counted by name.

Chosen by what 113 articles of two Wikipedias lose without them: everything that prints at least a hundredth of a percent of their text, and
families of templates that cost a name each. The names are those of the English Wikipedia, many of which other wikis share.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Arguments:
    """A template's arguments as text: those without a name (or named 1, 2, 3 ...) in order, and the others, names in lower case.

    english: whether the wiki is an English one. In others no English words are added, and numbers stay as they are written.
    """

    positional: list[str] = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)
    english: bool = True

    def at(self, index: int) -> str:
        """A positional argument, empty where it was not given."""
        return self.positional[index] if index < len(self.positional) else ""

    def number(self, text: str) -> str:
        """1300 as 1,300 in English; what is not a whole number or decimal stays as it is."""
        parts = re.fullmatch(r"([-+−–]?)(\d[\d,]*)(\.\d+)?", text) if self.english else None
        if parts is None:
            return text.replace("/", "⁄")
        digits = parts[2].replace(",", "")
        return parts[1].replace("-", "−") + (f"{int(digits):,}" if len(digits) > 3 else digits) + (parts[3] or "")


Handler = Callable[[Arguments], "str | None"]

# Unit: symbol, singular, plural.
_UNITS = {code: tuple(names.split("|")) for code, names in {
    "km": "km|kilometre|kilometres", "m": "m|metre|metres", "cm": "cm|centimetre|centimetres", "mm": "mm|millimetre|millimetres",
    "mi": "mi|mile|miles", "nmi": "nmi|nautical mile|nautical miles", "ft": "ft|foot|feet", "in": "in|inch|inches",
    "km2": "km²|square kilometre|square kilometres", "sqmi": "sq mi|square mile|square miles", "m2": "m²|square metre|square metres",
    "ha": "ha|hectare|hectares", "acre": "acre|acre|acres", "m3": "m³|cubic metre|cubic metres", "kg": "kg|kilogram|kilograms",
    "g": "g|gram|grams", "lb": "lb|pound|pounds", "km/h": "km/h|kilometre per hour|kilometres per hour",
    "mph": "mph|mile per hour|miles per hour", "ft/s": "ft/s|foot per second|feet per second", "C": "°C|°C|°C", "F": "°F|°F|°F",
}.items()}  # fmt: skip
_BETWEEN = {"-": "–", "–": "–", "to": " to ", "and": " and ", "or": " or ", "x": " × ", "×": " × ", "by": " by ",
            "and(-)": " and ", "to(-)": " to ",
            "+/-": " ± ", "±": " ± "}  # fmt: skip
_NUMBER = re.compile(r"[-+−–]?[\d.,]+(?:/\d+)?")
_LANGUAGES = {
    "ar": "Arabic", "bg": "Bulgarian", "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek",
    "en": "English", "es": "Spanish", "fa": "Persian", "fi": "Finnish", "fr": "French", "ga": "Irish", "grc": "Ancient Greek",
    "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian", "hy": "Armenian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "la": "Latin",
    "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sq": "Albanian",
    "sr": "Serbian", "sv": "Swedish", "tr": "Turkish", "uk": "Ukrainian", "zh": "Chinese",
}  # fmt: skip
_SUBSCRIPT = str.maketrans("0123456789+-", "₀₁₂₃₄₅₆₇₈₉₊₋")
_SUPERSCRIPT = str.maketrans("0123456789+-−n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻ⁿ")


def subscript(text: str) -> str:
    """Digits as subscripts: H2O as H₂O. What has no such character stays as it is."""
    return text.translate(_SUBSCRIPT) if re.fullmatch(r"[\d+-]+", text) else text


def superscript(text: str) -> str:
    """Digits as superscripts, so that ten to the sixth does not become 106. What has no such character stays as it is."""
    return text.translate(_SUPERSCRIPT) if re.fullmatch(r"[-−+]?[\dn]+[-+]?", text) else text


def _convert(given: Arguments) -> str | None:
    """{{convert|1300|mi|km}}: 1,300 miles; {{convert|5|-|10|mi}}: 5–10 miles. The quantity as it was entered, without its conversion."""
    numbers, words = given.at(0), given.positional
    if not _NUMBER.fullmatch(numbers):
        return numbers or None
    text, at = given.number(numbers), 1
    while len(words) > at + 1 and words[at] in _BETWEEN and _NUMBER.fullmatch(words[at + 1]):
        text, numbers, at = text + _BETWEEN[words[at]] + given.number(words[at + 1]), "", at + 2
    unit = given.at(at)
    symbol, one, many = _UNITS.get(unit.removeprefix("°"), (unit, unit, unit))
    if given.named.get("abbr", "") in ("on", "in", "~") or not given.english:
        return f"{text} {symbol}".strip()
    if given.named.get("adj", "") in ("on", "mid"):
        return f"{text}-{one}"
    return f"{text} {one if numbers.lstrip('-−') == '1' else many}".strip()


def _value(given: Arguments) -> str | None:
    """{{val|1.5|0.2|e=6|u=m}}: 1.5±0.2×10⁶ m."""
    text = given.number(given.at(0)) + (f"±{given.number(given.at(1))}" if given.at(1) else "")
    power, unit = given.named.get("e"), given.named.get("u") or given.named.get("ul")
    return (text + (f"×10{superscript(power)}" if power else "") + (f" {unit}" if unit else "")) if given.at(0) else None


def _fraction(given: Arguments) -> str | None:
    """{{frac|2}}: 1⁄2; {{frac|1|2}}: 1⁄2; {{frac|3|1|2}}: 3+1⁄2."""
    parts = [part for part in given.positional if part]
    last = "⁄".join(["1", *parts][-2:])
    return f"{parts[0]}+{last}" if len(parts) == 3 else last if parts else None


def _chemical(given: Arguments) -> str | None:
    """{{chem|H|2|O}}, {{chem2|H2O}}: H₂O."""
    digits = r"(?<=[A-Za-z)\]])\d+"
    return "".join(subscript(part) if part.isdigit() else re.sub(digits, lambda m: subscript(m[0]), part) for part in given.positional)


def _quotation(given: Arguments) -> str | None:
    """A quotation, and its author."""
    text = given.named.get("text") or given.named.get("quote") or given.at(0)
    author = given.named.get("author") or given.named.get("sign") or given.at(1)
    return f"\n{text}\n" + (f"— {author}\n" if author else "") if text else None


def _in_language(code: str, text: str, given: Arguments) -> str | None:
    """{{lang-ru|Москва}}, {{langx|ru|Москва}}: Russian: Москва; `label=none` without the language's name."""
    label = given.named.get("label") or (_LANGUAGES.get(code.split("-")[0]) if given.english else None)
    return (text if label in (None, "none", "no") else f"{label}: {text}") if text else None


def _nihongo(given: Arguments) -> str | None:
    """{{nihongo|English|漢字|romaji}}: English (漢字, romaji)."""
    inside = ", ".join(part for part in given.positional[1:3] if part)
    return f"{given.at(0)} ({inside})" if given.at(0) and inside else given.at(0) or inside or None


def _as_of(given: Arguments) -> str | None:
    """{{as of|2010|5}}: As of May 2010; `lc=y` in lower case."""
    months = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
    year, month, day = [*given.positional, "", "", ""][:3]
    named = months[int(month) - 1] if month.isdigit() and 1 <= int(month) <= 12 else month
    date = given.named.get("alt") or " ".join(["as of" if given.named.get("lc") else "As of", *filter(None, (day, named, year))])
    return date if year and given.english else None


def _first(given: Arguments) -> str | None:
    return given.at(0) or given.named.get("text") or None


def _second(given: Arguments) -> str | None:
    return given.at(1) or given.named.get("text") or None


def _last(given: Arguments) -> str | None:
    return next((part for part in reversed(given.positional) if part), None)


def _joined(separator: str, around: str = "") -> Handler:
    return lambda given: f"{around}{separator.join(filter(None, given.positional))}{around}" if any(given.positional) else None


_FAMILIES: tuple[tuple[str, Handler], ...] = (
    ("nowrap|nobr|small|smaller|big|large|larger|center|sc|smallcaps|abbr|tooltip|em|strong|italic|bold|code|mono|var|mvar|math|linktext|"
     "vanchor|visible anchor|flag|flagu|flagcountry|tq|ill|interlanguage link|sup|sub|pslink", _first),
    ("lang|script|rtl-lang|font|color", _second),
    ("transl|transliteration|translit|tlit|ipa|ipa link", _last),
    ("convert|cvt", _convert), ("val", _value), ("frac|sfrac|fraction", _fraction), ("chem|chem2", _chemical),
    ("formatnum|nts|num", lambda given: given.number(given.at(0)) or None),
    ("e|esp", lambda given: f"×10{superscript(given.at(0))}" if given.at(0) else None),
    ("quote|blockquote|cquote|bquote|quotation|poemquote|verse", _quotation),
    ("langx", lambda given: _in_language(given.at(0), given.at(1), given)), ("nihongo", _nihongo), ("as of|asof", _as_of),
    ("circa|c.", lambda given: " – ".join(f"c. {year}" for year in given.positional if year) or "c."),
    ("hlist|comma separated entries", _joined(", ")), ("respell", _joined("-")), ("ipac-en", _joined("", "/")),
    ("ordered list|bulleted list|unbulleted list|ubl|plainlist", _joined("\n", "\n")),
    ("us$", lambda given: f"US${given.number(given.at(0))}"), ("angbr", lambda given: f"⟨{given.at(0)}⟩"), ("harvnb|harvtxt", _joined(" ")),
    ("sic", lambda given: f"{''.join(given.positional)} [sic]".strip()),
    *((prefix.lower(), lambda given, prefix=prefix: f"{prefix} {given.at(0)}") for prefix in ("USS", "HMS", "SS", "MV")),
    *((name, lambda given, text=text: text) for name, text in {
        "nbsp": " ", "spaces": " ", "thinsp": " ", "ndash": "–", "snd": " – ", "spaced ndash": " – ", "mdash": "—",
        "mdashb": "—", "·": " · ", "!": "|", "=": "=", "'s": "'s", "'": "'", "' \"": "' \"", "(": "{",
        ")": "}", "((": "{{", "))": "}}", "pb": "\n\n", "break": "\n",
    }.items()),
)  # fmt: skip
_HANDLERS = {name: prints for names, prints in _FAMILIES for name in names.split("|")}


def handler(name: str) -> Handler | None:
    """What prints a template, or None where it is not known to print text: it is dropped without a look at its arguments.

    name: in lower case, words separated by single spaces.
    """
    if name in _HANDLERS:
        return _HANDLERS[name]
    if name.startswith("lang-"):
        return lambda given: _in_language(name.removeprefix("lang-"), given.at(0), given)
    if name.startswith("ipa-"):
        return lambda given: f"[{given.at(0)}]" if given.at(0) else None
    if name.startswith("formatnum:"):
        return lambda given: given.number(name.removeprefix("formatnum:").strip())
    return _first if name.startswith("script/") else None
