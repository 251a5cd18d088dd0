"""What is public is importable without anything heavy, and has an example that runs."""

from __future__ import annotations

import doctest
import subprocess
import sys

import pytest

import finecomb

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def test_importing_finecomb_imports_neither_torch_nor_hydra_nor_pandas() -> None:
    code = "import sys, finecomb; dir(finecomb); print(sorted({name.split('.')[0] for name in sys.modules} & set(sys.argv[1:])))"
    heavy = ["torch", "hydra", "omegaconf", "pandas", "numpy", "transformers", "pytorch_lightning", "rich"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_listed_and_an_unknown_one_is_no_attribute() -> None:
    assert set(finecomb.__all__) == set(finecomb._MODULES) <= set(dir(finecomb))
    with pytest.raises(AttributeError, match="no attribute 'tran'"):
        finecomb.tran  # noqa: B018


@pytest.mark.parametrize("name", finecomb.__all__)
def test_the_example_of_a_docstring_runs(name: str) -> None:
    found = doctest.DocTestFinder(recurse=False).find(getattr(finecomb, name), name, globs={"finecomb": finecomb})
    (test,) = [each for each in found if each.name == name]
    assert test.examples
    said: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append)
    assert not said, "".join(said)
