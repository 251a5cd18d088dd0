"""Templates that carry text: what each of them prints. All others print nothing and are counted by name.

The names are those of the English Wikipedia, many of which other wikis share; where a wiki uses a name for something else, BY_LANGUAGE
decides. A template that prints a value which depends on the day of reading (an age) is not among them.
"""

from __future__ import annotations

from collections.abc import Callable

from finecomb.data.dataset.wikipedia.arguments import Arguments
from finecomb.data.dataset.wikipedia.dates import DATES
from finecomb.data.dataset.wikipedia.quantities import QUANTITIES, subscript, superscript

Handler = Callable[[Arguments], "str | None"]

# Languages as the templates lang-xx and langx print their names.
_LANGUAGES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German",
    "el": "Greek", "en": "English", "eo": "Esperanto", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian",
    "fi": "Finnish", "fr": "French", "ga": "Irish", "gd": "Scottish Gaelic", "gl": "Galician", "grc": "Ancient Greek", "he": "Hebrew",
    "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian", "is": "Icelandic", "it": "Italian",
    "ja": "Japanese", "ka": "Georgian", "kk": "Kazakh", "ko": "Korean", "la": "Latin", "lt": "Lithuanian", "lv": "Latvian",
    "mk": "Macedonian", "ms": "Malay", "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "ru": "Russian", "sa": "Sanskrit", "sk": "Slovak", "sl": "Slovene", "sq": "Albanian", "sr": "Serbian", "sv": "Swedish", "ta": "Tamil",
    "te": "Telugu", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


def _first(given: Arguments) -> str | None:
    return given.at(0) or given.named.get("text") or given.named.get("content") or None


def _second(given: Arguments) -> str | None:
    return given.at(1) or given.named.get("text") or None


def _last(given: Arguments) -> str | None:
    return next((part for part in reversed(given.positional) if part), None)


def _joined(separator: str) -> Handler:
    return lambda given: separator.join(part for part in given.positional if part) or None


def _constant(text: str) -> Handler:
    return lambda given: text


def _around(before: str, after: str) -> Handler:
    return lambda given: f"{before}{given.at(0)}{after}" if given.at(0) else None


def _langx(given: Arguments) -> str | None:
    """{{langx|ru|Москва}}: Russian: Москва; `label=none` without the language's name."""
    return _labeled(given.at(0), given.at(1) or given.named.get("text", ""), given)


def _labeled(code: str, text: str, given: Arguments) -> str | None:
    label = given.named.get("label") or (_LANGUAGES.get(code.split("-")[0]) if given.language == "en" else None)
    return (text if label in (None, "none", "no") else f"{label}: {text}") if text else None


def _nihongo(given: Arguments) -> str | None:
    """{{nihongo|English|漢字|romaji}}: English (漢字, romaji)."""
    inside = ", ".join(part for part in given.positional[1:3] if part)
    return f"{given.at(0)} ({inside})" if given.at(0) and inside else given.at(0) or inside or None


def _chinese(given: Arguments) -> str | None:
    """{{zh|s=..|t=..|p=..}}: what each part is, then the part."""
    names = {"c": "Chinese", "s": "simplified Chinese", "t": "traditional Chinese", "p": "pinyin", "w": "Wade–Giles", "l": "lit."}
    bare = given.flag("labels") is False and given.named.get("labels") in ("no", "off")
    return (
        "; ".join(given.named[key] if bare else f"{name}: {given.named[key]}" for key, name in names.items() if given.named.get(key))
        or None
    )


def _interlanguage(given: Arguments) -> str | None:
    """{{ill|Title|fr|Titre|lt=shown}}: what is shown."""
    return given.named.get("lt") or _first(given)


def _sic(given: Arguments) -> str | None:
    """{{sic|word}}: word [sic]; hide=y: word."""
    word = "".join(given.positional)
    hidden = given.flag("hide") or given.named.get("hide") == "yes"
    return word if word and hidden else f"{word} [sic]".strip()


def _quote(given: Arguments) -> str | None:
    """A quotation, and who said it."""
    text = given.named.get("text") or given.named.get("quote") or given.at(0)
    author = given.named.get("author") or given.named.get("sign") or given.at(1)
    return f"\n{text}\n" + (f"— {author}\n" if author else "") if text else None


def _list(given: Arguments) -> str | None:
    return "\n" + "\n".join(part for part in given.positional if part) + "\n" if any(given.positional) else None


def _ship(given: Arguments) -> str | None:
    """{{ship|USS|Enterprise|CVN-65}}: USS Enterprise (CVN-65)."""
    name = " ".join(part for part in given.positional[:2] if part)
    return f"{name} ({given.at(2)})" if name and given.at(2) else name or None


def _prefixed_ship(prefix: str) -> Handler:
    return lambda given: f"{prefix} {given.at(0)}" + (f" ({given.at(1)})" if given.at(1) else "") if given.at(0) else None


def _ship_class(given: Arguments) -> str | None:
    """{{sclass|Iowa|battleship}}: Iowa-class battleship."""
    return f"{given.at(0)}-class {given.at(1)}".strip() if given.at(0) else None


def _harvard(given: Arguments) -> str | None:
    """{{harvnb|Smith|Jones|2000}}: Smith & Jones 2000."""
    parts = [part for part in given.positional if part]
    return " & ".join(parts[:-1]) + f" {parts[-1]}" if len(parts) > 1 else None


def _bible(given: Arguments) -> str | None:
    return " ".join(part for part in given.positional[:3] if part) or None


def _music(given: Arguments) -> str | None:
    return {"flat": "♭", "b": "♭", "sharp": "♯", "#": "♯", "natural": "♮"}.get(given.at(0).lower())


def _century(given: Arguments) -> str | None:
    """French {{s|XIX|e}}: XIXe siècle."""
    return f"{given.at(0)}{given.at(1)} siècle" if given.at(0) else None


_SHOWN = (
    "nowrap", "nobr", "nowraplinks", "nobold", "noitalic", "small", "smaller", "big", "large", "larger", "center", "centre", "sc",
    "smallcaps", "small caps", "caps", "allcaps", "abbr", "tooltip", "em", "strong", "italic", "bold", "i", "b", "u", "underline",
    "code", "mono", "samp", "var", "mvar", "math", "tt", "kbd", "not a typo", "typo", "proper name", "chem name", "vanchor",
    "visible anchor", "visanc", "anchorlink", "tq", "tqi", "strikethrough", "unicode", "polytonic", "hebrew", "coptic", "gothic",
    "nastaliq", "aq", "wikt-lang", "notatypo", "linktext", "flag", "flagu", "flagcountry", "flagteam", "pslink", "as written",
    "nihongo foot", "screen reader-only", "blue", "red", "green", "longitem", "resize block", "nobreak", "sans-serif", "serif",
    "overline", "dfn", "def", "term", "sronly", "avoid wrap",
)  # fmt: skip
_SECOND = ("lang", "resize", "font", "color", "colour", "fontcolor", "font color", "background color", "rtl-lang", "script", "hover title")
_CHARACTERS = {
    "nbsp": " ", "spaces": " ", "space": " ", "sp": " ", "thinsp": " ", "thin space": " ", "hair space": " ", "zwsp": "", "zwj": "",
    "zwnj": "", "shy": "", "wbr": "", "ndash": "–", "en dash": "–", "snd": " – ", "spnd": " – ", "spaced ndash": " – ",
    "spaced en dash": " – ", "mdash": "—", "em dash": "—", "mdashb": "—", "·": " · ", "middot": " · ", "dot": " · ", "bull": " • ",
    "bullet": " • ", "•": " • ", "!": "|", "pipe": "|", "=": "=", "'s": "'s", "'": "'", "' \"": "' \"", "\" '": "\" '", "'\"": "'\"",
    "\"'": "\"'", "(": "{", ")": "}", "((": "{{", "))": "}}", "ellipsis": "…", "...": "…", "degree": "°", "deg": "°", "times": "×",
    "x": "×", "minus": "−", "plusminus": "±", "±": "±", "bracket": "[", "!(": "[", ")!": "]", "colon": ":", "hash": "#",
    "asterisk": "*", "sic nolink": "[sic]", "-'": "-'", "break": "\n", "br": "\n", "clear break": "\n", "pb": "\n\n",
    "paragraph break": "\n\n", "thorn": "þ", "okina": "ʻ", "hamza": "ʾ", "ayin": "ʿ", "pi": "π", "flatlist": "", "endflatlist": "",
    "plainlist": "", "endplainlist": "",
}  # fmt: skip
# Templates beside parser functions, whose argument stands behind a colon.
FUNCTIONS: dict[str, Handler] = {
    "formatnum": QUANTITIES["formatnum"],
    "lc": lambda given: given.at(0).lower(),
    "uc": lambda given: given.at(0).upper(),
    "lcfirst": lambda given: given.at(0)[:1].lower() + given.at(0)[1:],
    "ucfirst": lambda given: given.at(0)[:1].upper() + given.at(0)[1:],
}
HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_SHOWN, _first),
    **dict.fromkeys(_SECOND, _second),
    **{name: _constant(text) for name, text in _CHARACTERS.items()},
    **QUANTITIES,
    **DATES,
    "langx": _langx,
    **dict.fromkeys(("transl", "transliteration", "translit", "tlit", "ipa", "ipa link", "ipalink", "audio-ipa"), _last),
    **dict.fromkeys(("nihongo", "nihongo2", "nihongo3", "korean"), _nihongo),
    **dict.fromkeys(("zh", "zh-full", "lang-zh"), _chinese),
    **dict.fromkeys(("ill", "interlanguage link", "illm", "link-interwiki"), _interlanguage),
    **dict.fromkeys(("ipac-en",), lambda given: f"/{''.join(given.positional)}/" if any(given.positional) else None),
    **dict.fromkeys(("respell", "usage respell"), _joined("-")),
    **dict.fromkeys(("keypress", "key press", "key"), _joined("+")),
    **dict.fromkeys(("angbr", "angle bracket"), _around("⟨", "⟩")),
    "sic": _sic,
    "sup": lambda given: superscript(given.at(0)),
    "sub": lambda given: subscript(given.at(0)),
    **dict.fromkeys(("quote", "blockquote", "cquote", "quotation", "bquote", "centered pull quote", "pull quote", "verse", "poemquote",
                     "poem quote", "verse translation"), _quote),
    **dict.fromkeys(("hlist", "flatlist", "comma separated entries"), lambda given: ", ".join(filter(None, given.positional)) or ""),
    **dict.fromkeys(("unbulleted list", "ubl", "ubt", "plainlist", "bulleted list", "ordered list", "vunblist", "plain list"), _list),
    "ship": _ship,
    **{prefix.lower(): _prefixed_ship(prefix) for prefix in ("USS", "HMS", "HMAS", "HMCS", "SS", "RMS", "MV", "USNS", "USCGC", "SMS")},
    **dict.fromkeys(("sclass", "sclass2", "sclass-"), _ship_class),
    **dict.fromkeys(("harvnb", "harvcol", "harvard citation no brackets"), _harvard),
    **dict.fromkeys(("harvtxt", "harv", "harvp"), lambda given: _harvard(given) and f"({_harvard(given)})"),
    **dict.fromkeys(("bible verse", "bibleverse", "bibleref", "bibleref2"), _bible),
    "music": _music,
    "isbn": lambda given: f"ISBN {given.at(0)}" if given.at(0) else None,
    "tmath": _around("$", "$"),
    **dict.fromkeys(("pagename", "title", "articlename", "subjectpagename"), lambda given: given.title),
}  # fmt: skip
BY_LANGUAGE: dict[str, dict[str, Handler]] = {
    "fr": {"s": _century, "-s": _century, "e": _constant("e"), "er": _constant("er"), "ier": _constant("Ier"), "ire": _constant("Ire"),
           "date": _joined(" "), "date-": _joined(" "), "citation": _around("« ", " »"), "langue": _second, "nb": QUANTITIES["num"],
           "lien": lambda given: given.at(0) or given.named.get("fr") or given.named.get("trad")},
    "de": {"s": _constant(""), "enS": _first, "&nbsp;": _constant(" "), "lang": _second},
    "es": {"esd": _first, "cita": _around("«", "»"), "siglo": lambda given: f"siglo {given.at(0)}"},
}  # fmt: skip


def handler(name: str, language: str) -> Handler | None:
    """What prints a template, or None where it is not known to print text: it is dropped without a look at its arguments.

    name: in lower case, words separated by single spaces; behind the colon of a parser function as it is.
    """
    own = BY_LANGUAGE.get(language, {}).get(name) or HANDLERS.get(name)
    if own is not None:
        return own
    function, colon, rest = name.partition(":")
    if colon and (known := FUNCTIONS.get(function.strip())):
        # What stands behind the colon is the first argument.
        return lambda given: known(Arguments([rest.strip(), *given.positional], given.named, given.title, given.language))
    if name.startswith("lang-"):
        return lambda given: _labeled(name.removeprefix("lang-"), given.at(0), given)
    if name.startswith("ipa-"):
        return _around("[", "]")
    return _first if name.startswith("script/") else None
