"""Sphinx: MyST pages, docstrings, and tables made from the package's own catalog."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import romanesco

project = "romanesco"
author = "The romanesco authors"
copyright = author
release = romanesco.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "catalog"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "romanesco"
html_static_path = ["_static"]
html_show_copyright = False
myst_heading_anchors = 3
default_role = "code"
autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "example"}
autodoc_typehints_format = "short"
toc_object_entries_show_parents = "hide"

MARKUP = re.compile(r"(`[^`]*`)|([*|]|(?<=\w)_(?!\w))")


def plain(app, what, name, obj, options, lines):
    """Docstrings are prose: a star or an underscore outside backticks is itself."""
    lines[:] = [MARKUP.sub(lambda m: m[1] or "\\" + m[2], line) for line in lines]


def setup(app):
    app.connect("autodoc-process-docstring", plain)
