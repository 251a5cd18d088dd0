"""Names of units as the templates convert, cvt and val abbreviate them, and how numbers are written."""

from __future__ import annotations

import re

# code: (symbol, singular, plural); several codes of one unit are separated by spaces.
_TABLE = {
    "km kilometre kilometer kilometres kilometers": ("km", "kilometre", "kilometres"),
    "m metre meter metres meters": ("m", "metre", "metres"),
    "cm": ("cm", "centimetre", "centimetres"),
    "mm": ("mm", "millimetre", "millimetres"),
    "um μm µm": ("μm", "micrometre", "micrometres"),
    "nm": ("nm", "nanometre", "nanometres"),
    "mi mile miles": ("mi", "mile", "miles"),
    "nmi": ("nmi", "nautical mile", "nautical miles"),
    "ft foot feet": ("ft", "foot", "feet"),
    "in inch inches": ("in", "inch", "inches"),
    "yd yard yards": ("yd", "yard", "yards"),
    "ftm fathom": ("fathom", "fathom", "fathoms"),
    "furlong": ("furlong", "furlong", "furlongs"),
    "ly": ("ly", "light-year", "light-years"),
    "au AU": ("AU", "astronomical unit", "astronomical units"),
    "pc": ("pc", "parsec", "parsecs"),
    "km2 sqkm": ("km²", "square kilometre", "square kilometres"),
    "m2 sqm": ("m²", "square metre", "square metres"),
    "cm2": ("cm²", "square centimetre", "square centimetres"),
    "sqmi mi2": ("sq mi", "square mile", "square miles"),
    "sqft sqfoot ft2": ("sq ft", "square foot", "square feet"),
    "sqin in2": ("sq in", "square inch", "square inches"),
    "sqyd": ("sq yd", "square yard", "square yards"),
    "ha hectare": ("ha", "hectare", "hectares"),
    "acre acres": ("acre", "acre", "acres"),
    "km3": ("km³", "cubic kilometre", "cubic kilometres"),
    "m3": ("m³", "cubic metre", "cubic metres"),
    "cm3 cc": ("cm³", "cubic centimetre", "cubic centimetres"),
    "cuft cufoot ft3": ("cu ft", "cubic foot", "cubic feet"),
    "cuin cuinch in3": ("cu in", "cubic inch", "cubic inches"),
    "cumi": ("cu mi", "cubic mile", "cubic miles"),
    "l L litre liter": ("L", "litre", "litres"),
    "ml mL": ("mL", "millilitre", "millilitres"),
    "USgal gal": ("US gal", "US gallon", "US gallons"),
    "impgal": ("imp gal", "imperial gallon", "imperial gallons"),
    "acre.ft acre.foot acreft": ("acre⋅ft", "acre-foot", "acre-feet"),
    "kg": ("kg", "kilogram", "kilograms"),
    "g": ("g", "gram", "grams"),
    "mg": ("mg", "milligram", "milligrams"),
    "t tonne": ("t", "tonne", "tonnes"),
    "lb lbs": ("lb", "pound", "pounds"),
    "oz": ("oz", "ounce", "ounces"),
    "st stone": ("st", "stone", "stone"),
    "ST short shton": ("short ton", "short ton", "short tons"),
    "LT long": ("long ton", "long ton", "long tons"),
    "km/h kph": ("km/h", "kilometre per hour", "kilometres per hour"),
    "mph mi/h": ("mph", "mile per hour", "miles per hour"),
    "m/s": ("m/s", "metre per second", "metres per second"),
    "ft/s": ("ft/s", "foot per second", "feet per second"),
    "kn knot knots": ("kn", "knot", "knots"),
    "C °C": ("°C", "°C", "°C"),
    "F °F": ("°F", "°F", "°F"),
    "K": ("K", "K", "K"),
    "W": ("W", "watt", "watts"),
    "kW": ("kW", "kilowatt", "kilowatts"),
    "MW": ("MW", "megawatt", "megawatts"),
    "GW": ("GW", "gigawatt", "gigawatts"),
    "hp": ("hp", "horsepower", "horsepower"),
    "kWh": ("kWh", "kilowatt hour", "kilowatt hours"),
    "J": ("J", "joule", "joules"),
    "kJ": ("kJ", "kilojoule", "kilojoules"),
    "cal": ("cal", "calorie", "calories"),
    "kcal": ("kcal", "kilocalorie", "kilocalories"),
    "Pa": ("Pa", "pascal", "pascals"),
    "kPa": ("kPa", "kilopascal", "kilopascals"),
    "MPa": ("MPa", "megapascal", "megapascals"),
    "psi": ("psi", "pound per square inch", "pounds per square inch"),
    "bar": ("bar", "bar", "bars"),
    "atm": ("atm", "standard atmosphere", "standard atmospheres"),
    "N": ("N", "newton", "newtons"),
    "kN": ("kN", "kilonewton", "kilonewtons"),
    "Nm": ("N⋅m", "newton-metre", "newton-metres"),
    "lbft": ("lb⋅ft", "pound-foot", "pound-feet"),
    "lbf": ("lbf", "pound-force", "pounds-force"),
    "Hz": ("Hz", "hertz", "hertz"),
    "kHz": ("kHz", "kilohertz", "kilohertz"),
    "MHz": ("MHz", "megahertz", "megahertz"),
    "s": ("s", "second", "seconds"),
    "min": ("min", "minute", "minutes"),
    "h hr": ("h", "hour", "hours"),
    "PD/sqkm /km2": ("/km²", "inhabitant per square kilometre", "inhabitants per square kilometre"),
    "PD/sqmi /sqmi": ("/sq mi", "inhabitant per square mile", "inhabitants per square mile"),
}
UNITS = {code: names for codes, names in _TABLE.items() for code in codes.split()}
# Separators of thousands and decimals by language of the wiki; others write as English does.
SEPARATORS = {
    **dict.fromkeys(("de", "nl", "it", "es", "pt", "id", "tr", "da", "el", "ro", "hr", "sl", "sr", "ca", "eu", "vi"), (".", ",")),
    **dict.fromkeys(
        ("fr", "ru", "uk", "pl", "cs", "sk", "sv", "nb", "no", "nn", "fi", "bg", "hu", "be", "et", "lt", "lv"), ("\u00a0", ",")
    ),
}
_NUMBER = re.compile(r"([-+−–]?)(\d[\d,]*)(\.\d+)?")


def format_number(text: str, language: str = "en") -> str:
    """A number as the wiki prints it: 1300 is 1,300. What is not a number is returned as it is."""
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        return text.strip()
    sign, whole, decimals = found.groups()
    thousands, point = SEPARATORS.get(language, (",", "."))
    digits = whole.replace(",", "")
    grouped = f"{int(digits):,}".replace(",", thousands) if len(digits) > 3 else digits
    return ("−" if sign in "-–" and sign else sign) + grouped + (decimals or "").replace(".", point)


def unformat_number(text: str, language: str = "en") -> str:
    """A printed number as plain digits: what {{formatnum:...|R}} does."""
    thousands, point = SEPARATORS.get(language, (",", "."))
    return text.strip().replace(thousands, "").replace(point, ".").replace("−", "-")


def unit_name(code: str, number: str, *, short: bool, adjective: bool) -> str:
    """The unit behind a number: its symbol, or its name in the number that English wants."""
    if code not in UNITS:
        return code
    symbol, one, many = UNITS[code]
    return symbol if short else one if adjective or number.strip() in ("1", "-1", "−1") else many
