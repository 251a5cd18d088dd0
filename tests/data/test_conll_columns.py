"""Tokens and tags of CoNLL files: which columns they are, documents as groups, and tokens that look like JSON."""

import pytest
from data_configs import make_dataset

from finecomb.core.errors import ConfigError
from finecomb.data.dataset import build

CONTENT = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O

[ ( O O
1 CD B-NP O
] ) O O

-DOCSTART- -X- -X- O

Peter NNP B-NP B-PER
"""


def read(path, **columns):
    config = make_dataset("files", files={"train": str(path)}, columns={"label": None, **columns})
    (rows,) = build(config).read("tags").splits["train"]
    return rows


def test_the_first_column_is_tokens_and_the_last_is_tags(write):
    rows = read(write("news.conll", CONTENT))
    assert rows.text == ["EU rejects", "[ 1 ]", "Peter"]
    assert rows.label == [["B-ORG", "O"], ["O", "O", "O"], ["B-PER"]]
    assert rows.group is None


def test_other_columns_are_named_by_their_number(write):
    path = write("news.conll", CONTENT)
    assert read(path, tags="column2").label == [["NNP", "VBZ"], ["(", "CD", ")"], ["NNP"]]
    rows = read(path, tokens="column2", tags="column3")
    assert (rows.text[0], rows.label[0]) == ("NNP VBZ", ["B-NP", "B-VP"])
    with pytest.raises(ConfigError, match="no column 'column5'") as caught:
        read(path, tags="column5")
    assert "column1, column2, column3, column4, document" in caught.value.problems[0].allowed


def test_documents_are_groups_where_the_file_marks_them(write):
    rows = read(write("news.conll", CONTENT), group="document")
    assert rows.group == ["news.conll:1", "news.conll:1", "news.conll:2"]
    assert read(write("plain.conll", "a O\n\nb O\n"), group="document").group == ["", ""]


def test_windows_lines_and_tabs_give_the_same_rows(write):
    expected = read(write("news.conll", CONTENT)).sha256()
    text = CONTENT.replace("\n", "\r\n").replace(" ", "\t")
    assert read(write("news.conll", text)).sha256() == expected
