"""Settings of Sphinx. The pages' code blocks run first: they make the pictures and the output."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import pages  # noqa: E402 - found by the line above
from sphinx.util.logging import getLogger  # noqa: E402

import cyfes  # noqa: E402

project = "cyfes"
author = "The cyfes developers"
release = cyfes.__version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
# Pages link to headings of each other.
myst_heading_anchors = 3
html_theme = "furo"
html_title = "cyfes"
exclude_patterns = ["run/README.md", "_build"]

# Attributes are described in the class's own docstring.
numpydoc_show_class_members = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"


# Formulas and shapes in docstrings that reStructuredText would take for markup.
_NOT_MARKUP = re.compile(r"(?<![*`\\])(\*(?=grid\b)|\|)")


def escape_formulas(*event):
    """Keep the stars of shapes and the bars of absolute values as they are."""
    lines = event[-1]
    lines[:] = [_NOT_MARKUP.sub(r"\\\1", line) for line in lines]


def drop_links_to_readme(*event):
    """Leave the words of links to the README, which is no page here."""
    source = event[-1]
    source[0] = re.sub(r"\[([^\]]*)\]\(\.\./README\.md[^)]*\)", r"\1", source[0])


def run_pages(_):
    """Run the code of all pages, and say so as Sphinx says what it does itself."""
    pages.run_all(HERE, HERE / "run", getLogger("pages").info)


def setup(app):
    """Run the pages before Sphinx reads them."""
    app.connect("builder-inited", run_pages)
    # Before numpydoc, which makes tables of its own.
    app.connect("autodoc-process-docstring", escape_formulas, priority=100)
    app.connect("source-read", drop_links_to_readme)
