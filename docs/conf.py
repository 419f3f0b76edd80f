# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: INP001 - read by Sphinx
"""How Sphinx builds these pages: `nox -s docs`, or `python -m sphinx -W --keep-going docs docs/_build`."""

import sys
from pathlib import Path

import smelt

sys.path.insert(0, str(Path(__file__).parent))

project = "smelt"
author = "The smelt developers"
copyright = author  # noqa: A001 - Sphinx's name
version = release = smelt.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "directives",
]
root_doc = "index"
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"smelt {version}"

# Headings can be linked to as on GitHub: `language.md#printing`.
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

# Docstrings put names between single backticks, as Markdown does.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# What a signature shows: names as they are written, without the modules that they come from.
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
napoleon_google_docstring = False
napoleon_use_rtype = False
html_show_sourcelink = False
