"""Gettext catalogues: which messages become rows, forms of the plural, languages, and .mo beside .po."""

import pytest
from data_configs import make_dataset

from finecomb.core.errors import ConfigError
from finecomb.data.dataset import build

polib = pytest.importorskip("polib", reason='needs pip install "finecomb[po]"')

HEAD = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\nPlural-Forms: nplurals={}; plural=n != 1;\\n"\n\n'
GERMAN = (
    HEAD.format(2)
    + """
msgid "%(count)d file was read from {path}"
msgid_plural "%(count)d files were read from {path}"
msgstr[0] "%(count)d Datei wurde aus {path} gelesen"
msgstr[1] "%(count)d Dateien wurden aus {path} gelesen"

msgctxt "a month"
msgid "May"
msgstr "Mai"

msgid "May"
msgstr "Darf"

#, fuzzy
msgid "Save"
msgstr "Sparen"

msgid "Open"
msgstr ""

#~ msgid "Gone"
#~ msgstr "Weg"
"""
)


def read(**changes):
    raw = build(make_dataset("po_files", **changes)).read("target")
    (rows,) = raw.splits["train"]
    return rows, raw


@pytest.fixture
def folder(write, tmp_path):
    write("app/locale/de/LC_MESSAGES/app.po", GERMAN)
    write("app/locale/pl/LC_MESSAGES/app.po", HEAD.format(3) + 'msgid "file"\nmsgid_plural "files"\nmsgstr[0] "plik"\nmsgstr[1] "pliki"\n'
          'msgstr[2] "plik\u00f3w"\n')  # fmt: skip
    write("app/po/ja.po", HEAD.format(1) + 'msgid "file"\nmsgid_plural "files"\nmsgstr[0] "\u30d5\u30a1\u30a4\u30eb"\n')
    return tmp_path / "app"


def test_messages_become_pairs_with_their_format_strings(folder):
    rows, raw = read(path=str(folder))
    assert list(zip(rows.text, rows.label, strict=True)) == [
        ("%(count)d file was read from {path}", "%(count)d Datei wurde aus {path} gelesen"),
        ("%(count)d files were read from {path}", "%(count)d Dateien wurden aus {path} gelesen"),
        ("May", "Mai"), ("May", "Darf"),
    ]  # fmt: skip
    assert raw.funnel[0]["reasons"] == {"fuzzy": 1, "untranslated": 1, "obsolete": 1}
    assert (raw.funnel[0]["rows_in"], raw.funnel[0]["rows_out"]) == (7, 4)
    assert len(set(rows.id)) == 4
    assert rows.group[0] == rows.group[1]
    assert len(set(rows.group)) == 3
    assert rows.place(2).startswith("locale/de/LC_MESSAGES/app.po, line ")


def test_languages_with_three_forms_and_with_one(folder):
    rows, raw = read(path=str(folder), language="pl")
    assert list(zip(rows.text, rows.label, strict=True)) == [("file", "plik"), ("files", "plik\u00f3w")]
    assert raw.funnel[0]["reasons"] == {"plural forms between the first and the last": 1}
    rows, _ = read(path=str(folder), language="ja")
    assert list(zip(rows.text, rows.label, strict=True)) == [("files", "\u30d5\u30a1\u30a4\u30eb")]


def test_a_compiled_catalogue_gives_the_same_rows_and_is_not_read_twice(folder, tmp_path):
    before, _ = read(path=str(folder))
    source = folder / "locale" / "de" / "LC_MESSAGES" / "app.po"
    polib.pofile(str(source)).save_as_mofile(str(source.with_suffix(".mo")))
    assert read(path=str(folder))[0].sha256() == before.sha256()
    source.unlink()
    compiled, _ = read(path=str(folder))
    assert sorted(zip(compiled.text, compiled.label, strict=True)) == sorted(zip(before.text, before.label, strict=True))


def test_another_language_a_missing_package_and_no_place_are_refused(folder):
    with pytest.raises(ConfigError, match="no catalogue of the language fr") as caught:
        read(path=str(folder), language="fr")
    assert caught.value.problems[0].allowed == "languages there: de, ja, pl"
    with pytest.raises(ConfigError, match="no package 'no_such_package' is installed"):
        read(packages=["no_such_package"])
    with pytest.raises(ConfigError, match="no catalogues are named"):
        read()


def test_a_broken_catalogue_is_the_users_error(write, tmp_path):
    write("bad/de.po", 'msgid "a"\nmsgid "b"\nmsgstr ???\n')
    with pytest.raises(ConfigError, match=r"cannot read de\.po"):
        read(path=str(tmp_path / "bad"))


def test_catalogues_of_an_installed_package():
    pytest.importorskip("sphinx", reason="its catalogues are real data")
    source = build(make_dataset("po_files", packages=["sphinx"]))
    assert "polib" in source.inputs()
    (rows,) = source.read("target").splits["train"]
    assert len(rows) > 100
    assert all(identifier.startswith("sphinx/locale/de/LC_MESSAGES/sphinx.po:") for identifier in rows.id)
