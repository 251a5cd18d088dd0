"""Sphinx configuration. `make docs` builds docs/_build/html; nothing in the built pages is fetched from the network."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

from finecomb import __version__  # noqa: E402

project = "finecomb"
author = "The finecomb authors"
copyright = author
release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "config_reference",
    "repository_pages",
    "offline",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# Notebooks are shown with the outputs committed with them; tests/test_notebooks.py executes them.
nb_execution_mode = "off"

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = "finecomb"
html_copy_source = False
html_show_sphinx = False
# Single backticks in docstrings are code, and `--flag` keeps its two hyphens.
default_role = "code"
smartquotes = False
# Prompts and outputs are shown, not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
