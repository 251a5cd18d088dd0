"""Personal data that a pattern can know: e-mail and IP addresses, phone and card numbers."""

from __future__ import annotations

import ipaddress
import re

from finecomb.config.schema import cleaner as schema
from finecomb.data.cleaner.step import TextRewrite

_EMAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}[A-Za-z]{2,24}(?![\w-])")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
# With a country code, or with separators that only phone numbers have.
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,5}\d{2,4}|\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}-\d{3}-\d{4})(?![\w-])"
)
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")


class PersonalData(TextRewrite):
    """Puts placeholders such as [EMAIL] in the place of what is found. Names and postal addresses are not found by patterns."""

    def __init__(self, config: schema.PersonalData) -> None:
        self._config = config

    def rewrite(self, text: str) -> str:
        """The text with placeholders."""
        config = self._config
        if config.email and "@" in text:
            text = _EMAIL.sub("[EMAIL]", text)
        if config.card:
            text = _CARD.sub(_card, text)
        if config.phone:
            text = _PHONE.sub(_phone, text)
        return _IPV4.sub(_address, text) if config.ip else text


def _card(match: re.Match[str]) -> str:
    digits = [int(char) for char in match[0] if char.isdigit()]
    return "[CARD]" if luhn(digits) and len(set(digits)) > 1 else match[0]


def luhn(digits: list[int]) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _phone(match: re.Match[str]) -> str:
    count = sum(char.isdigit() for char in match[0])
    return "[PHONE]" if 8 <= count <= 15 else match[0]


def _address(match: re.Match[str]) -> str:
    try:
        found = ipaddress.IPv4Address(match[0])
    except ValueError:
        return match[0]
    # Addresses that name no machine of anybody (127.0.0.1, 192.168.0.1) are examples in every manual.
    return "[IP]" if found.is_global else match[0]
