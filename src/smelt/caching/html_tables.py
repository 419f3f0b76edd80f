# SPDX-License-Identifier: Apache-2.0
"""Objects as Jupyter shows them: `_repr_html_` of a class gives a table of what there is to know about an object."""

from __future__ import annotations

from collections.abc import Iterable

_LEFT = ' style="text-align: left"'


def html_table(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """A table of names and values with a title, in HTML. All of it is text: what looks like HTML in it is shown as it stands."""
    lines = [f"<tr><th{_LEFT}>{_escaped(name)}</th><td{_LEFT}>{_escaped(value)}</td></tr>" for name, value in rows]
    return f"<table><caption>{_escaped(title)}</caption>{''.join(lines)}</table>"


def _escaped(value: object) -> str:
    # As `html.escape`, whose module is large.
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
