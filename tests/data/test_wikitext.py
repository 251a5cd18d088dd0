"""Text of wikitext: what templates print stays, what is left out is counted, and no nesting takes long."""

import time

import pytest

from finecomb.data.dataset.wikipedia.dump import Site
from finecomb.data.dataset.wikipedia.wikitext import Wiki, to_text

pytest.importorskip("mwparserfromhell")

WIKI = Wiki.of(Site(namespaces={6: "File", 14: "Category"}), ["References", "See also"])

# wikitext -> text, by what it shows
TEXTS = {
    "a quantity": ("At {{convert|1300|mi|km}}, it", "At 1,300 miles, it"),
    "one of a unit": ("{{convert|1|mi}}", "1 mile"),
    "a range": ("{{convert|5|-|10|km|mi|abbr=on}} and {{convert|3|to|4|ft}}", "5–10 km and 3 to 4 feet"),
    "an adjective": ("a {{convert|1300|mi|adj=on}} river", "a 1,300-mile river"),
    "an unknown unit": ("{{convert|7|smoot|m}}", "7 smoot"),
    "a number": ("{{formatnum:1234567.5}}", "1,234,567.5"),
    "a measured value": ("{{val|1.50|0.02|e=6|u=m}}", "1.50±0.02×10⁶ m"),
    "a foreign word": ("the {{lang|fr|joie de vivre}} of {{lang-ru|Москва}}", "the joie de vivre of Russian: Москва"),
    "a word with a new name": ("({{langx|el|Αθήνα}})", "(Greek: Αθήνα)"),
    "no break": ("{{nowrap|100 [[Metre|m]]}} {{nbsp}}x", "100 m x"),
    "about a year": ("{{circa|1900}} to {{c.|1910|1912}}", "c. 1900 to c. 1910 – c. 1912"),
    "a faulty word": ("a {{sic|wrod}}", "a wrod [sic]"),
    "a date of facts": ("{{as of|2010|5}}, and {{as of|2011|lc=y}}", "As of May 2010, and as of 2011"),
    "a fraction": ("{{frac|3|1|2}} cups", "3+1⁄2 cups"),
    "money": ("{{US$|1500}}", "US$1,500"),
    "chemistry": ("{{chem|H|2|O}} and CO<sub>2</sub>", "H₂O and CO₂"),
    "a power": ("10<sup>6</sup> m<sup>-1</sup>, the 19<sup>th</sup>", "10⁶ m⁻¹, the 19th"),
    "signs": ("a{{snd}}b {{!}} c{{'s}} {{=}}", "a – b | c's ="),
    "nested templates": ("{{nowrap|{{convert|5|km|mi}} {{small|or so}}}}", "5 kilometres or so"),
    "another alphabet": ("{{nihongo|Tokyo|東京|Tōkyō}}", "Tokyo (東京, Tōkyō)"),
    "links": ("[[A]], [[B (c)|b]], [[:Category:D]], [[fr:Titre]][[E|''e'']]s", "A, b, Category:D, es"),
    "files and categories": ("x[[File:A.jpg|thumb|a [[link]] in it]] y[[Category:Z]]", "x y"),
    "external links": ("[https://a.example/b the site] [https://a.example/c] https://a.example/d", "the site https://a.example/d"),
    "references": ('One.<ref>{{cite web|url=x}}</ref> Two.<ref name="a/b" /><ref name=c>d</ref>', "One. Two."),
    "comments": ("a<!-- {{convert|1 --> b\n<!-- line -->\nc", "a b\nc"),
    "formulas": ("where <math>x^{2}</math> is", "where $x^{2}$ is"),
    "literal text": ("<nowiki>{{convert|1|mi}} ''a''</nowiki>", "{{convert|1|mi}} ''a''"),
    "emphasis and entities": ("'''A''' ''b'' &ndash; &#945; &lt;c&gt;", "A b – α <c>"),
    "lists": ("* one\n** two\n# three\n; term: meaning", "one\ntwo\nthree\nterm: meaning"),
    "a table": ("before\n{| class=x\n|-\n| {{nowrap|1}} ||\n{|\n| 2\n|}\n|}\nafter", "before\n\nafter"),
    "tags": ("a<br/>b <small>c</small> <div>d</div>", "a\nb c\nd"),
    "headings": ("== One ==\ntext\n== Empty ==\n== References ==\nref\n=== of it ===\nx\n== Last ==\nend", "One\n\ntext\n\nLast\n\nend"),
    "traces": ("Paris ({{IPA-unknown}}; {{xyz}}) is, Rome ({{xyz}}; 1900) was {{xyz}}.", "Paris is, Rome (1900) was."),
    "an infobox": ("{{Infobox x\n| a = {{convert|1|mi}}\n| b = [[c]]\n}}\n'''It''' is", "It is"),
    "marks without a partner": ("a }} b [[c x {{f ]", "a }} b [[c x {{f ]"),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXTS)
def test_text_of_wikitext(case):
    wikitext, text = TEXTS[case]
    assert to_text(wikitext, WIKI).text == text


def test_the_quantity_that_others_lose_is_kept_and_what_is_dropped_is_counted():
    found = to_text("At {{convert|1,300|mi}}{{citation needed|date=May 2010}}, {{Main|x}}{{citation needed}} it ends.", WIKI)
    assert found.text.startswith("At 1,300 miles,")
    assert found.templates == {"citation needed": 2, "main": 1}


def test_files_by_the_names_of_the_wiki():
    french = Wiki.of(Site(language="fr", namespaces={6: "Fichier"}), [])
    assert to_text("[[Fichier:A.jpg|b]]au {{unknown|x}}", french).text == "au"


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("{{lang-ru|Москва}}, {{langx|el|Αθήνα}}", "Москва, Αθήνα"),
        ("{{lang-ru|Москва|label=на руски}}", "на руски: Москва"),
        ("{{formatnum:1234567.5}} {{num|3.700.000}} {{val|12345|10}}", "1234567.5 3.700.000 12345±10"),
        ("{{convert|1300|mi|km}} {{cvt|10.000|-|20.000|ft}}", "1300 mi 10.000–20.000 ft"),
        ("х {{as of|2010|5}}", "х"),
    ],
)
def test_other_wikis_get_no_english_words_and_numbers_as_written(wikitext, text):
    bulgarian = Wiki.of(Site(language="bg"), [])
    assert to_text(wikitext, bulgarian).text == text


BOMBS = {
    "open templates": "{{a|b=c}" * 5000, "open links": "[[a|{{b|" * 10000, "open tables": "{|\n" * 10000,
    "nested": "{{a|" * 5000 + "}}" * 5000, "known": "{{small|" * 3000 + "}}" * 3000,
    "tags": "<div>" * 20000, "references": "<ref>" * 20000, "quotes": "''a" * 50000, "brackets": "[http://x " * 20000,
    "closing": "}}]]|}" * 5000, "comments": "<!--" * 50000, "braces": "{" * 50000, "deep links": "[[a|" * 3000 + "]]" * 3000,
    "parameters": "{{{a|" * 10000, "one line": "a [[b]] {{c}} " * 30000,
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_wikitext_takes_long(bomb):
    started = time.process_time()
    to_text(BOMBS[bomb], WIKI)
    assert time.process_time() - started < 8
