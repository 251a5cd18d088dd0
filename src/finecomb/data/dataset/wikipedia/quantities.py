"""Templates that print numbers: quantities with units, money, fractions, formulas of chemistry."""

from __future__ import annotations

import re
from collections.abc import Callable

from finecomb.data.dataset.wikipedia.arguments import Arguments
from finecomb.data.dataset.wikipedia.units import UNITS, format_number, unformat_number, unit_name

_BETWEEN = {
    "-": "–", "–": "–", "to": " to ", "to(-)": " to ", "and": " and ", "and(-)": " and ", "or": " or ", "x": " × ", "×": " × ", "xx": " × ",
    "by": " by ", "by(x)": " by ", "+/-": " ± ", "±": " ± ", "+": " + ", ",": ", ", "to about": " to about ",
}  # fmt: skip
_NUMBER = re.compile(r"[-+−–±~]?[\d.,]+(?:[+⁄/]\d+)*(?:/\d+)?(?:e[-+]?\d+)?")
_SUBSCRIPT = str.maketrans("0123456789+-", "₀₁₂₃₄₅₆₇₈₉₊₋")
_SUPERSCRIPT = str.maketrans("0123456789+-−n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻ⁿ")


def subscript(text: str) -> str:
    """Digits as subscripts: H2O as H₂O. What has no such character stays as it is."""
    return text.translate(_SUBSCRIPT) if re.fullmatch(r"[\d+-]+", text) else text


def superscript(text: str) -> str:
    """Digits as superscripts, so that ten to the sixth does not become 106. What has no such character stays as it is."""
    return text.translate(_SUPERSCRIPT) if re.fullmatch(r"[-−+]?[\dn]+[-+]?", text) else text


def convert(given: Arguments) -> str | None:
    """{{convert|1300|mi|km}}: 1,300 miles. The quantity as it was entered, without its conversion.

    Ranges ({{convert|5|-|10|mi}}: 5–10 miles), mixed units ({{convert|6|ft|2|in}}: 6 feet 2 inches), abbr=on and adj=on are followed.
    """
    words = [word.strip() for word in given.positional]
    short = given.named.get("abbr", "").lower() in ("on", "in", "y", "yes", "~", "unit") or given.named.get("sp") == "on"
    adjective = given.named.get("adj", "").lower() in ("on", "mid", "1", "y") or given.named.get("disp", "").lower() == "adj"
    said: list[str] = []
    while words and _NUMBER.fullmatch(words[0]):
        taken, number, rest = _amount(words, given.language)
        code = rest[0] if rest else ""
        said.append(_quantity(taken, number, code, short=short, adjective=adjective))
        words = rest[1:]
        # A second quantity belongs to the first only where its unit is smaller, such as feet and inches; else it is a target or precision.
        mixed = len(words) >= 2 and _NUMBER.fullmatch(words[0]) and words[1] in UNITS and code in UNITS
        if not mixed:
            break
    return " ".join(said) if said else (given.at(0) or None)


def _amount(words: list[str], language: str) -> tuple[str, str, list[str]]:
    """The number or range in front, its last number, and what follows."""
    text, last, rest = _said(words[0], language), words[0], words[1:]
    while len(rest) >= 2 and rest[0] in _BETWEEN and _NUMBER.fullmatch(rest[1]):
        text, last = text + _BETWEEN[rest[0]] + _said(rest[1], language), rest[1]
        rest = rest[2:]
    return text, last, rest


def _said(number: str, language: str) -> str:
    return format_number(number, language) if re.fullmatch(r"[-+−–]?\d[\d,]*(\.\d+)?", number) else number.replace("/", "⁄")


def _quantity(text: str, number: str, code: str, *, short: bool, adjective: bool) -> str:
    if not code:
        return text
    name = unit_name(code, number if text.count(" ") == 0 and "–" not in text else "2", short=short, adjective=adjective)
    return f"{text}-{name}" if adjective and not short else f"{text}{'' if name.startswith('/') else ' '}{name}"


def val(given: Arguments) -> str | None:
    """{{val|1.5|0.2|e=6|u=m}}: 1.5±0.2×10⁶ m."""
    if not given.at(0):
        return None
    text = given.named.get("p", "") + format_number(given.at(0), given.language)
    if given.at(1):
        text += "±" + format_number(given.at(1), given.language)
    if power := given.named.get("e"):
        text += "×10" + superscript(power)
    unit = given.named.get("u") or given.named.get("ul")
    return text + (f" {UNITS[unit][0] if unit in UNITS else unit}" if unit else "") + given.named.get("s", "")


def formatnum(given: Arguments) -> str | None:
    """{{formatnum:1234567}}: 1,234,567; {{formatnum:1,234|R}}: 1234."""
    if given.at(1).upper() == "R":
        return unformat_number(given.at(0), given.language)
    if given.at(1).upper() == "NOSEP":
        return given.at(0)
    return format_number(given.at(0), given.language) or None


def grouped(given: Arguments) -> str | None:
    """{{nts|1234}}, {{num|1234}}: 1,234."""
    return given.named.get("prefix", "") + format_number(given.at(0), given.language) or None


def gaps(given: Arguments) -> str | None:
    """{{gaps|3.141|592}}: 3.141592."""
    return "".join(given.positional) or None


def fraction(given: Arguments) -> str | None:
    """{{frac|2}}: 1⁄2; {{frac|1|2}}: 1⁄2; {{frac|3|1|2}}: 3+1⁄2."""
    parts = [part for part in given.positional if part]
    if len(parts) == 1:
        return f"1⁄{parts[0]}"
    if len(parts) == 2:
        return f"{parts[0]}⁄{parts[1]}"
    return f"{parts[0]}+{parts[1]}⁄{parts[2]}" if len(parts) == 3 else None


def power_of_ten(given: Arguments) -> str | None:
    """{{e|6}}: ×10⁶; {{10^|6}}: 10⁶."""
    return f"×10{superscript(given.at(0))}" if given.at(0) else None


def ordinal(given: Arguments) -> str | None:
    """{{ordinal|21}}: 21st."""
    text = given.at(0)
    if not text.isdigit():
        return None
    teen = text[-2:] in ("11", "12", "13")
    return text + ("th" if teen else {"1": "st", "2": "nd", "3": "rd"}.get(text[-1], "th"))


def height(given: Arguments) -> str | None:
    """{{height|ft=6|in=1}}: 6 ft 1 in; {{height|m=1.85}}: 1.85 m."""
    said = [f"{given.named[unit]} {unit}" for unit in ("m", "cm", "ft", "in") if given.named.get(unit)]
    return " ".join(said) or None


def chemical(given: Arguments) -> str | None:
    """{{chem|H|2|O}} and {{chem2|H2O}}: H₂O."""
    text = "".join(subscript(part) if part.isdigit() else re.sub(r"(?<=[A-Za-z)\]])\d+", lambda m: subscript(m[0]), part)
                   for part in given.positional)  # fmt: skip
    return text or None


def square_root(given: Arguments) -> str | None:
    """{{sqrt|2}}: √2."""
    return f"√{given.at(0)}" if given.at(0) else None


def exponent(given: Arguments) -> str | None:
    """{{pow|x|2}}: x²; {{10^|6}}: 10⁶."""
    return f"{given.at(0)}{superscript(given.at(1))}" if given.at(0) else None


def money(symbol: str) -> Callable[[Arguments], str | None]:
    """A template that prints an amount behind a currency's sign: {{US$|1.5 million}}."""

    def said(given: Arguments) -> str | None:
        return symbol + format_number(given.at(0), given.language)

    return said


QUANTITIES = {
    **dict.fromkeys(("convert", "cvt", "conv", "unité", "unite", "unidad"), convert),
    "val": val, "formatnum": formatnum, "gaps": gaps,
    **dict.fromkeys(("nts", "ntsh", "num", "number", "nombre", "formatnumber", "fnum"), grouped),
    **dict.fromkeys(("frac", "sfrac", "fraction", "1/2"), fraction),
    **dict.fromkeys(("e", "esp"), power_of_ten),
    "10^": lambda given: f"10{superscript(given.at(0))}",
    "ordinal": ordinal, "height": height, "sqrt": square_root, "pow": exponent,
    **dict.fromkeys(("chem", "chem2", "ce"), chemical),
    "co2": lambda given: "CO₂", "h2o": lambda given: "H₂O",
    **{name: money(sign) for name, sign in {"us$": "US$", "usd": "US$", "a$": "A$", "aud": "A$", "c$": "C$", "cad": "C$", "nz$": "NZ$",
       "gbp": "£", "£": "£", "pound sterling": "£", "eur": "€", "€": "€", "euro": "€", "inr": "₹", "₹": "₹", "indian rupee": "₹",
       "jpy": "¥", "¥": "¥", "yen": "¥", "cny": "CN¥", "hk$": "HK$", "krw": "₩", "₩": "₩", "chf": "CHF ", "₱": "₱", "php": "₱"}.items()},
}  # fmt: skip
