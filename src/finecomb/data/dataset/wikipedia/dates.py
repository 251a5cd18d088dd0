"""Templates that print dates, as the English Wikipedia prints them; other wikis get ISO 8601, which needs no names of months."""

from __future__ import annotations

from finecomb.data.dataset.wikipedia.arguments import Arguments

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def _month(text: str) -> int | None:
    """A month's number from 1..12 or from its name, in full or by three letters."""
    if text.isdigit():
        return int(text) if 1 <= int(text) <= 12 else None
    short = text[:3].lower()
    return next((number for number, name in enumerate(_MONTHS, start=1) if len(short) == 3 and name.lower().startswith(short)), None)


def written(parts: list[str], language: str, *, day_first: bool) -> str | None:
    """Year, month and day, as many as there are, as a date; None where they are not one."""
    year, month, day = ([part.strip() for part in parts[:3]] + ["", "", ""])[:3]
    if not year:
        return None
    if not month:
        return year
    number = _month(month)
    if number is None or (day and not (day.isdigit() and 1 <= int(day) <= 31)):
        return None
    if language != "en":
        return f"{year}-{number:02d}" + (f"-{int(day):02d}" if day else "")
    name = _MONTHS[number - 1]
    if not day:
        return f"{name} {year}"
    return f"{int(day)} {name} {year}" if day_first else f"{name} {int(day)}, {year}"


def _day_first(given: Arguments) -> bool:
    return given.flag("df") or given.named.get("df") == "y"


def date(given: Arguments) -> str | None:
    """{{start date|2010|5|4}}, {{birth date and age|1950|1|2}} (the age, which depends on the day of reading, is left out)."""
    if len(given.positional) == 1 and not given.positional[0].isdigit():
        return given.positional[0] or None  # {{birth-date|4 May 2010}}, already written out
    return written(given.positional, given.language, day_first=_day_first(given))


def any_date(given: Arguments) -> str | None:
    """{{date|2010-05-04}}, {{dts|2010|May|4}}."""
    first = given.at(0)
    pieces = first.split("-")
    if len(given.positional) == 1 or (len(pieces) == 3 and pieces[0].isdigit()):
        if len(pieces) == 3 and all(piece.isdigit() for piece in pieces):
            return written(pieces, given.language, day_first=_day_first(given) or given.at(1).lower() in ("dmy", ""))
        return first or None
    return written(given.positional, given.language, day_first=_day_first(given))


def death(given: Arguments) -> str | None:
    """{{death date and age|2000|1|2|1930|3|4}}: January 2, 2000 (aged 69)."""
    numbers = [part.strip() for part in given.positional]
    said = written(numbers[:3], given.language, day_first=_day_first(given))
    if said is None or len(numbers) < 6 or given.language != "en":
        return said
    years = _years(numbers[3:6], numbers[:3])
    return said if years is None else f"{said} (aged {years})"


def age(given: Arguments) -> str | None:
    """{{age|1930|3|4|2000|1|2}}: whole years between two dates. With one date it depends on today, and is dropped."""
    numbers = [part.strip() for part in given.positional]
    years = _years(numbers[:3], numbers[3:6]) if len(numbers) >= 6 else None
    return None if years is None else str(years)


def _years(born: list[str], died: list[str]) -> int | None:
    try:
        (y0, m0, d0), (y1, m1, d1) = (
            [int(born[0]), _month(born[1]) or 0, int(born[2])],
            [int(died[0]), _month(died[1]) or 0, int(died[2])],
        )
    except (ValueError, IndexError):
        return None
    return y1 - y0 - ((m1, d1) < (m0, d0))


def as_of(given: Arguments) -> str | None:
    """{{as of|2010|5|4}}: As of 4 May 2010. `lc=y` in lower case, `since=y`, `alt=` another wording."""
    if alternative := given.named.get("alt"):
        return alternative
    said = written(given.positional, given.language, day_first=given.named.get("df", "").lower() != "us")
    if said is None:
        return None
    word = "Since" if given.flag("since") else "As of"
    return f"{word.lower() if given.flag('lc') else word} {said}"


def circa(given: Arguments) -> str | None:
    """{{circa|1900}}: c. 1900; {{circa|1900|1910}}: c. 1900 – c. 1910."""
    years = [part.strip() for part in given.positional if part.strip()]
    return " – ".join(f"c. {year}" for year in years) if years else "c."


def floruit(given: Arguments) -> str | None:
    """{{floruit|1900|1910}}: fl. 1900–1910."""
    return _span("fl.", given)


def reign(given: Arguments) -> str | None:
    """{{reign|1900|1910}}: r. 1900–1910."""
    return _span("r.", given)


def born(given: Arguments) -> str | None:
    """{{born|1900}}: b. 1900."""
    return _span("b.", given)


def died(given: Arguments) -> str | None:
    """{{died|1900}}: d. 1900."""
    return _span("d.", given)


def _span(mark: str, given: Arguments) -> str:
    years = [part.strip() for part in given.positional[:2] if part.strip()]
    return f"{mark} {'–'.join(years)}" if years else mark


DATES = {
    **dict.fromkeys(("start date", "end date", "start-date", "end-date", "birth date", "birth-date", "death date", "death-date",
                     "birth date and age", "birth-date and age", "start date and age", "end date and age", "bda", "dob",
                     "birth year and age", "birth year", "death year", "film date", "release date"), date),
    **dict.fromkeys(("death date and age", "death-date and age", "dda"), death),
    **dict.fromkeys(("date", "dts", "dtsh", "datum"), any_date),
    "age": age,
    **dict.fromkeys(("as of", "asof"), as_of),
    **dict.fromkeys(("circa", "c.", "ca."), circa),
    **dict.fromkeys(("floruit", "fl."), floruit),
    **dict.fromkeys(("reign", "r."), reign),
    "born": born, "b.": born, "died": died, "d.": died,
}  # fmt: skip
