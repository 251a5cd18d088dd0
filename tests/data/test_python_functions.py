"""Functions of Python files: what is prompt and what is body, names, groups, and what is left out."""

import platform
import textwrap

import pytest
from data_configs import make_cleaner, make_dataset

from finecomb.core.errors import ConfigError
from finecomb.data.dataset import build
from finecomb.data.prepare import prepare

MODULE = '''
import functools


class Shop:
    """A shop."""

    @property
    def open(self):
        """Whether it is open."""
        # Always.
        return True

    @open.setter
    def open(self, value): """Never."""; raise AttributeError


@functools.cache
def price(
    name: str,
) -> int:
    \'\'\'The price
    of it.\'\'\'
    def inner():
        """Not a row."""
        return 1
    return inner()


async def wait():
    return None


def planned():
    """To come."""
'''


def read(folder, kind="completion", **changes):
    raw = build(make_dataset("python_functions", path=str(folder), **changes)).read(kind)
    (rows,) = raw.splits["train"]
    return rows, raw


@pytest.fixture
def library(write, tmp_path):
    write("lib/shop/__init__.py", MODULE)
    write("lib/tests/inside.py", MODULE), write("lib/test_shop.py", MODULE), write("lib/site-packages/other.py", MODULE)
    write("lib/table.py", "# This file was automatically generated.\n" + MODULE), write("lib/old.py", "print 'x'\n")
    return tmp_path / "lib"


def test_the_prompt_ends_with_the_docstring_and_the_completion_is_the_rest(library):
    rows, raw = read(library)
    assert rows.id == ["shop:Shop.open", "shop:price"]
    assert rows.text[0] == '@property\ndef open(self):\n    """Whether it is open."""\n'
    assert rows.label[0] == "    # Always.\n    return True"
    assert rows.text[1] == "@functools.cache\ndef price(\n    name: str,\n) -> int:\n    '''The price\n    of it.'''\n"
    assert rows.label[1] == '    def inner():\n        """Not a row."""\n        return 1\n    return inner()'
    assert rows.group == ["shop", "shop"]
    assert rows.place(0) == "shop/__init__.py, line 8"
    files, functions = raw.funnel
    assert files["reasons"] == {"files of tests": 2, "generated files": 1, "files that are no Python of this version": 1}
    assert (functions["rows_in"], functions["rows_out"]) == (5, 2)
    assert functions["reasons"] == {"functions without docstring": 1, "functions without body": 2}


def test_whole_functions_are_the_lines_of_the_file(library):
    rows, _ = read(library, "none", target="text", docstring=False)
    assert rows.id == ["shop:Shop.open", "shop:Shop.open#2", "shop:price", "shop:wait", "shop:planned"]
    assert rows.label == [None] * 5
    text = (library / "shop" / "__init__.py").read_text()
    assert all(whole in text or textwrap.indent(whole, "    ") in text for whole in rows.text)
    prompts, _ = read(library)
    bodies = dict(zip(prompts.id, zip(prompts.text, prompts.label, strict=True), strict=True))
    assert all(rows.text[rows.id.index(name)] == prompt + body for name, (prompt, body) in bodies.items())


def test_the_hash_is_of_the_files_that_are_read_and_the_version_of_python(library):
    def inputs():
        return build(make_dataset("python_functions", path=str(library))).inputs()

    before = inputs()
    assert before["python"] == platform.python_version()
    (library / "tests" / "inside.py").write_text("x = 1\n")
    assert inputs() == before
    (library / "shop" / "__init__.py").write_text("x = 1\n")
    assert inputs() != before


def test_a_folder_without_python_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no Python file"):
        read(tmp_path)


def test_the_standard_library_is_split_by_module():
    config = make_dataset("python_functions")
    prepared = prepare(config, make_cleaner("none"), task_variant="code_generation")
    manifest = prepared.manifest
    assert manifest.source == f"standard library of Python {platform.python_version()}"
    assert sum(manifest.rows.values()) > 5000
    modules = {split: {row["id"].split(":")[0] for row in table} for split, table in prepared.load().items()}
    assert sum(map(len, modules.values())) == len(set.union(*modules.values()))
    row = next(iter(prepared.load()["train"]))
    assert row["text"].rstrip().endswith(('"""', "'''", '"', "'"))
    assert row["label"].strip()
