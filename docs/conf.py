"""Settings of Sphinx. The pages' code blocks run first: they make the pictures and the output."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import drawings  # noqa: E402 - found by the line above
import pages  # noqa: E402 - likewise
import tables  # noqa: E402 - likewise
from docutils import nodes  # noqa: E402
from docutils.utils.math.latex2mathml import tex2mathml  # noqa: E402
from sphinx.util.logging import getLogger  # noqa: E402

import cyfes  # noqa: E402

SOURCE = "https://github.com/cyfes/cyfes"

project = "cyfes"
author = "The cyfes developers"
release = cyfes.__version__
html_show_copyright = False

extensions = [
    *("myst_parser", "numpydoc", "sphinx_copybutton"),
    *("sphinx.ext.autodoc", "sphinx.ext.intersphinx", "sphinx.ext.viewcode"),
]
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
# Pages link to headings of each other.
myst_heading_anchors = 3
exclude_patterns = ["run", "_build"]

# Two hyphens begin an option, and stay two.
smartquotes_action = "qe"

html_theme = "furo"
html_title = f"cyfes {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_js_files = ["pages.js"]
templates_path = ["_templates"]
html_context = {"repository": SOURCE}
html_theme_options = {
    "source_repository": SOURCE,
    "source_branch": "main",
    "source_directory": "docs/",
}
html_math_renderer = "mathml"

# The button copies commands and statements without the prompt, and not what they print.
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"
copybutton_selector = "div:not(.highlight-text) > div.highlight > pre"

# Attributes are described in the class's own docstring.
numpydoc_show_class_members = False
# Types of parameters are links, and so is every name in single back quotes.
numpydoc_xref_param_type = True
# Words that are no names. numpydoc would link some of them to glossaries of other projects.
numpydoc_xref_ignore = {
    *("array", "array_like", "bool", "boolean", "callable", "default", "iterable", "iterator"),
    *("mapping", "of", "optional", "or", "pair", "path-like", "pairs", "sequence", "them", "to"),
}
numpydoc_xref_aliases = {word: word for word in numpydoc_xref_ignore}
default_role = "py:obj"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
# The names of other projects that docstrings use. They are in a file here, so that a build needs no
# network; `nox -s docs -- -b linkcheck` asks whether the pages exist.
intersphinx_mapping = {
    name: (address, str(HERE / "inventories" / f"{name}.inv"))
    for name, address in (
        ("python", "https://docs.python.org/3/"),
        ("numpy", "https://numpy.org/doc/stable/"),
        ("matplotlib", "https://matplotlib.org/stable/"),
        ("pandas", "https://pandas.pydata.org/docs/"),
        ("xarray", "https://docs.xarray.dev/en/stable/"),
    )
}

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
    tables.write_all(HERE / "run" / "tables")
    drawings.write_all(HERE / "run" / "drawings")


def write_formula(translator, node):
    """Write a formula as MathML, which browsers draw without a script."""
    block = isinstance(node, nodes.math_block)
    translator.body.append(tex2mathml(node.astext(), as_block=block))
    raise nodes.SkipNode


def setup(app):
    """Run the pages before Sphinx reads them."""
    app.connect("builder-inited", run_pages)
    app.add_html_math_renderer("mathml", (write_formula, None), (write_formula, None))
    # Before numpydoc, which makes tables of its own.
    app.connect("autodoc-process-docstring", escape_formulas, priority=100)
    app.connect("source-read", drop_links_to_readme)
