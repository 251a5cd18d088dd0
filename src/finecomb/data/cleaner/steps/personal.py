"""Personal data that a pattern can know: e-mail and IP addresses, phone and card numbers."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from finecomb.config.schema.base import option
from finecomb.data.cleaner.phones import WORD, Phones
from finecomb.data.cleaner.step import TextRewrite
from finecomb.data.scripts import UNSPACED

_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
# What may stand before an @ and behind it, from there in both directions: most words of a text have none.
_LOCAL = re.compile(r"(?:[\w.%+-]+['\u2019])*[\w.%+-]+\Z")
_TOP = rf"(?:[A-Za-z]{{2,24}}(?!{WORD}|-)|[^\W\d_]{{2,24}}(?![\w-]))"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.){{1,8}}{_TOP}|\[?\d{{1,5}}(?:\.\d{{1,5}}){{3}}\]?(?!{WORD}|-)")
# A name in letters that its neighbors of another script, which has no spaces, do not belong to.
_NEIGHBOR = re.compile(rf".*[{UNSPACED}](?=[^{UNSPACED}]+\Z)")
_LONGEST_LOCAL = 64
_IPV4 = re.compile(rf"(?<!{WORD})(?<!\.)(?:\d{{1,3}}\.){{3}}\d{{1,3}}(?!{WORD}|\.\d)")
_IPV6 = re.compile(
    rf"(?<!{WORD})(?<![:.])(?:[0-9A-Fa-f]{{0,4}}:){{2,7}}(?:[0-9A-Fa-f]{{1,4}}|(?:\d{{1,3}}\.){{3}}\d{{1,3}})?(?!{WORD}|:|\.\d)"
)
_UNICAST = ipaddress.IPv6Network("2000::/3")
_CARD = re.compile(rf"(?<!{WORD})(?<![.-])(?<!\d )\d(?:[ -]?\d){{12,18}}(?!{WORD}|-)")

# What every card number and every IPv4 address holds: patterns that begin with a digit are searched much faster.
_DIGITS = re.compile(r"\d(?:[ -]?\d){12}")
_DOTS = re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d")


@dataclass
class PersonalDataOptions:
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


class PersonalData(TextRewrite):
    """Puts placeholders such as [EMAIL] in the place of what is found. Names and postal addresses are not found by patterns.

    What looks like an address but breaks the rules of one (two dots in a row) goes too: too much is taken rather than too little.
    """

    VERSION = 3
    LIBRARIES = ("phonenumbers",)

    def __init__(self, config: PersonalDataOptions) -> None:
        self._config = config
        self._phones = Phones(config.regions) if config.phone else None

    def rewrite(self, text: str) -> str:
        """The text with placeholders."""
        config = self._config
        if config.email and "@" in text:
            text = _without_addresses(text, self._instead("EMAIL"))
        if config.card and _DIGITS.search(text):
            text = _CARD.sub(lambda found: self._instead("CARD") if _is_card(found[0]) else found[0], text)
        if self._phones is not None:
            text = self._phones.replace(text, self._instead("PHONE"))
        if not config.ip:
            return text
        if text.count(":") > 1:
            text = _IPV6.sub(lambda found: self._instead("IP") if _is_public(found[0]) else found[0], text)
        if not _DOTS.search(text):
            return text
        return _IPV4.sub(lambda found: self._instead("IP") if _is_public(found[0]) else found[0], text)

    def _instead(self, kind: str) -> str:
        return self._config.placeholder.replace("{kind}", kind)


def _without_addresses(text: str, instead: str) -> str:
    parts, start, at = [], 0, text.find("@")
    while at >= 0:
        low = max(start, at - _LONGEST_LOCAL - 1)
        local = _LOCAL.search(text[low:at])
        neighbor = _NEIGHBOR.match(local[0]) if local else None
        first = low + (local.start() if local else 0) + (neighbor.end() if neighbor else 0)
        domain = _DOMAIN.match(text, at + 1) if local and at - first <= _LONGEST_LOCAL else None
        if domain:
            parts += [text[start:first], instead]
            start = domain.end()
        at = text.find("@", max(start, at + 1))
    return "".join([*parts, text[start:]])


def _is_card(found: str) -> bool:
    digits = [int(char) for char in found if char.isdigit()]
    return luhn(digits) and len(set(digits)) > 1


def luhn(digits: list[int]) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_public(found: str) -> bool:
    """Whether this is an address of somebody's machine: those that name none (127.0.0.1, 192.168.0.1, fe80::1) stand in every manual."""
    try:
        address = ipaddress.ip_address(found)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped.is_global
        # Others are not given out, and are hexadecimal numbers with colons by chance.
        return address in _UNICAST and address.is_global
    return address.is_global


CLEANING_STEPS = {"personal_data": (PersonalDataOptions, PersonalData)}
