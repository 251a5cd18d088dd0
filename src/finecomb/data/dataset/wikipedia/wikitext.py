"""Wikitext to plain text. Templates that carry text are expanded, everything else that is not prose is dropped and counted.

mwparserfromhell reads every block of lines that holds markup.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from finecomb.data.dataset.wikipedia.dump import Site
from finecomb.data.dataset.wikipedia.markup import blocks, clean, literal, without_extensions
from finecomb.data.dataset.wikipedia.templates import Arguments, handler

# Stands where a template was dropped, so that the brackets and commas around it can be tidied; not a character of any text.
DROPPED = "\ue002"
_TABLE = re.compile(r"[ \t:]*\{\|.*\n[ \t]*\|\}\s*|\s*<table\b.*</table\s*>\s*", re.DOTALL | re.IGNORECASE)
_HELD = re.compile("\ue000(\\d+)\ue001")
_COMPLEX = re.compile(r"[{}<>\[\]]")
_MARKERS = re.compile(r"(?m)^[*#:;]+[ \t]*")
_QUOTES = re.compile(r"'{2,}")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_FILES = ("file", "image", "media")
_HEADING = re.compile(r"(?m)^(={1,6})[ \t]*(.+?)[ \t]*\1[ \t]*$")
# Codes of the Wikipedias: a link that begins with one of them, and shows nothing else, leads to the same article in another language.
_CODES = """\
    aa ab ace ady af ak als alt am ami an ang anp ar arc ary arz as ast atj av avk awa ay az azb ba ban bar bat-smg bbc bcl bdr be
    be-tarask be-x-old bew bg bh bi bjn blk bm bn bo bpy br bs btm bug bxr ca cbk-zam cdo ce ceb ch cho chr chy ckb co cr crh cs csb cu cv
    cy da dag de dga din diq dsb dtp dty dv dz ee el eml en eo es et eu ext fa fat ff fi fiu-vro fj fo fon fr frp frr fur fy ga gag gan gcr
    gd gl glk gn gom gor got gpe gsw gu guc gur guw gv ha hak haw he hi hif ho hr hsb ht hu hy hyw hz ia iba id ie ig igl ii ik ilo inh io
    is it iu ja jam jbo jv ka kaa kab kbd kbp kcg kg kge ki kj kk kl km kn knc ko koi kr krc ks ksh ku kus kv kw ky la lad lb lbe lez lfn lg
    li lij lld lmo ln lo lrc lt ltg lv lzh mad mai map-bms mdf mg mh mhr mi min mk ml mn mni mnw mo mos mr mrj ms mt mus mwl my myv mzn na
    nah nan nap nds nds-nl ne new ng nia nl nn no nov nqo nr nrm nso nup nv ny oc olo om or os pa pag pam pap pcd pcm pdc pfl pi pih pl pms
    pnb pnt ps pt pwn qu rm rmy rn ro roa-rup roa-tara rsk ru rue rup rw sa sah sat sc scn sco sd se sg sgs sh shi shn shy si simple sk skr
    sl sm smn sn so sq sr srn ss st stq su sv sw syl szl szy ta tay tcy tdd te tet tg th ti tig tk tl tly tn to tpi tr trv ts tt tum tw ty
    tyv udm ug uk ur uz ve vec vep vi vls vo vro wa war wo wuu xal xh xmf yi yo yue za zea zgh zh zh-classical zh-min-nan zh-yue zu"""
_PREFIXES = frozenset(_CODES.split())


@dataclass(frozen=True)
class Wiki:
    """What converting needs to know of a wiki.

    namespaces: names of its namespaces of files and categories, in lower case, in addition to the English ones.
    drop_sections: headings, in lower case, whose sections are left out. english: whether it is an English wiki.
    """

    namespaces: frozenset[str] = frozenset()
    drop_sections: frozenset[str] = frozenset()
    english: bool = True

    @classmethod
    def of(cls, site: Site, drop_sections: Sequence[str]) -> Wiki:
        """A wiki by the head of its dump: namespace 6 holds files, 14 categories, -2 media."""
        names = frozenset(site.namespaces[key].lower() for key in (6, 14, -2) if site.namespaces.get(key))
        return cls(names, frozenset(name.lower() for name in drop_sections), site.language.split("-")[0] in ("en", "simple"))


@dataclass
class Converted:
    """The text of one page and what is not in it, counted: templates by name; sections, tables, files, references by kind."""

    text: str = ""
    templates: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


def to_text(wikitext: str, wiki: Wiki) -> Converted:
    """The prose of a page."""
    out = Converted()
    held: list[str] = []
    source = literal(wikitext)
    source = without_extensions(source, held, out.left_out)
    renderer = _Renderer(wiki, out, held)
    pieces: list[tuple[int, str]] = []  # (level of a heading or 0, text)
    for level, block in _kept(blocks(source), wiki, out, renderer):
        pieces.append((level, renderer.released(renderer.text(block))))
    out.text = clean("\n".join(_without_empty(pieces)))
    return out


def _kept(all_blocks: Sequence[str], wiki: Wiki, out: Converted, renderer: _Renderer) -> list[tuple[int, str]]:
    """Blocks with their heading's level, without the sections that are to be dropped."""
    kept: list[tuple[int, str]] = []
    dropping = 0
    for block in all_blocks:
        heading = _HEADING.fullmatch(block.strip())
        level = len(heading[1]) if heading else 0
        if heading and dropping and level <= dropping:
            dropping = 0
        if dropping:
            continue
        if heading:
            plain = renderer.released(_QUOTES.sub("", heading[2])).strip().lower()
            if plain in wiki.drop_sections:
                dropping = level
                out.left_out["section"] += 1
                continue
            block = heading[2]
        kept.append((level, block))
    return kept


def _without_empty(pieces: list[tuple[int, str]]) -> list[str]:
    """The pieces without headings that nothing follows."""
    kept: list[str] = []
    below = 0  # lower than this, a heading has something below it: text (7), or a kept heading of that level
    for level, text in reversed(pieces):
        bare = text.replace(DROPPED, "").strip()
        if level == 0:
            kept.append(text)
            below = 7 if bare else below
        elif below > level:
            kept.append(f"\n{text}\n" if bare else "")
            below = level
    return kept[::-1]


class _Renderer:
    """Turns blocks of one page to text."""

    def __init__(self, wiki: Wiki, out: Converted, held: list[str]) -> None:
        self._wiki, self._out, self._held = wiki, out, held

    def text(self, block: str) -> str:
        """The text of a block; only one with markup inside is parsed."""
        if not _COMPLEX.search(block):
            return self._inline(_QUOTES.sub("", _MARKERS.sub("", block)))
        if _TABLE.fullmatch(block):
            self._out.left_out["table"] += 1
            return ""
        import mwparserfromhell

        return self._code(mwparserfromhell.parse(block, skip_style_tags=True))

    def released(self, text: str) -> str:
        """The text with what was held back in its place."""
        while _HELD.search(text):
            text = _HELD.sub(lambda m: self._held[int(m[1])], text)
        return text

    def _inline(self, text: str) -> str:
        return _ENTITY.sub(lambda m: html.unescape(m[0]), text) if "&" in text else text

    def _code(self, code: Any) -> str:
        text = ""
        for node in code.nodes if code is not None else ():
            # In `; term: meaning` the colon is a mark of lists to the parser, and a colon to the reader.
            colon = type(node).__name__ == "Tag" and node.wiki_markup == ":" and text.rpartition("\n")[2].strip()
            text += ":" if colon else self._node(node)
        return text

    def _node(self, node: Any) -> str:
        match type(node).__name__:
            case "Text":
                return self._inline(_QUOTES.sub("", str(node)))
            case "HTMLEntity":
                return self._inline(str(node))
            case "Wikilink":
                return self._link(self._code(node.title), None if node.text is None else self._code(node.text))
            case "Template":
                return self._template(node)
            case "ExternalLink":
                return self._code(node.title).strip() if node.brackets else str(node.url)
            case "Heading":
                return "\n" + self._code(node.title) + "\n"
            case "Argument":
                return self._code(node.default)
            case "Tag" if str(node.tag).strip().lower() == "table":
                self._out.left_out["table"] += 1
                return ""
            case "Tag" if not node.wiki_markup:  # what else the parser makes tags of are the marks of lists
                return self._code(node.contents)
        return ""

    def _link(self, target: str, shown: str | None) -> str:
        """What [[target|shown]] prints: nothing for files, categories and links to other languages."""
        target = self.released(target).strip()
        prefix = target.partition(":")[0].strip().lower() if ":" in target else ""
        if prefix and (prefix in _FILES or prefix in self._wiki.namespaces or prefix == "category"):
            self._out.left_out["file" if prefix in _FILES else "category or file"] += 1
            return ""
        if prefix and shown is None and prefix in _PREFIXES:
            return ""
        if shown is not None and shown.strip():
            return shown
        bare = target.removeprefix(":")
        return re.sub(r"\s*\([^()]*\)$", "", bare.rpartition(":")[2]) if shown is not None else bare

    def _template(self, node: Any) -> str:
        """What a template prints, or the mark of a dropped one, whose arguments are not looked at."""
        name = " ".join(self.released(self._code(node.name)).replace("_", " ").split()).lower()
        prints = handler(name)
        text = prints(self._arguments(node)) if prints else None
        if text is None:
            head = name.partition(":")[0]
            self._out.templates[(head if head.startswith("#") else name)[:80]] += 1
            return DROPPED
        return text

    def _arguments(self, node: Any) -> Arguments:
        """A later argument of the same name wins, as in MediaWiki."""
        given: dict[str, str] = {}
        following = 1
        for each in node.params:
            name = self._code(each.name).strip().lower() if each.showkey else str(following)
            following += not each.showkey
            given[name] = self.released(self._code(each.value)).strip()
        numbers = [int(name) for name in given if name.isdigit() and len(name) < 3]
        positional = [given.get(str(number), "") for number in range(1, max(numbers, default=0) + 1)]
        return Arguments(positional, {name: value for name, value in given.items() if not name.isdigit()}, self._wiki.english)
