"""Hooks that mkdocs calls while it builds the documentation site.

Equations become MathML, which browsers render natively, and the page of commands is generated from
the help of the command line.
"""

from __future__ import annotations

import html
import re
from typing import Any

from cyclopts.docs.markdown import generate_markdown_docs
from latex2mathml.converter import convert

from midirnn.cli.main import make_app

COMMANDS_MARK = "<!-- the help of every command -->"

_EQUATION = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\s*\\[(\[](?P<latex>.*?)\\[)\]]\s*</(?P=tag)>',
    re.DOTALL,
)
_FLAG = re.compile(r"<code>(--[a-z0-9-]+)</code>")
_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):<code>(?:~(?:\w+\.)*)?([^<]*)</code>")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark with the help of every command."""
    return (
        markdown.replace(COMMANDS_MARK, command_help()) if COMMANDS_MARK in markdown else markdown
    )


def on_page_content(content: str, **_: Any) -> str:
    """Convert equations to MathML and docstring roles to plain names, and mark flags."""
    content = _ROLE.sub(r"<code>\1</code>", _EQUATION.sub(_mathml, content))
    return _FLAG.sub(r'<code class="flag">\1</code>', content)  # which CSS keeps on one line


def command_help() -> str:
    """Return a list of the commands and a section with the help of each, as Markdown."""
    pages = generate_markdown_docs(make_app(), generate_toc=False)
    return pages[pages.index("**Commands**") :]


def _mathml(match: re.Match[str]) -> str:
    block = match["tag"] == "div"
    equation = convert(html.unescape(match["latex"]), display="block" if block else "inline")
    return f'<div class="equation">{equation}</div>' if block else equation
