"""What mkdocs calls while it builds the documentation site.

Equations become MathML, which browsers draw by themselves, and the page of commands is written
from the command line's own help.
"""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

from midirnn.cli.main import make_app

COMMANDS_MARK = "<!-- the help of every command -->"

_EQUATION = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\s*\\[(\[](?P<latex>.*?)\\[)\]]\s*</(?P=tag)>',
    re.DOTALL,
)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the help of every command in place of the mark."""
    return (
        markdown.replace(COMMANDS_MARK, command_help()) if COMMANDS_MARK in markdown else markdown
    )


def on_page_content(content: str, **_: Any) -> str:
    """Write each equation as MathML."""
    return _EQUATION.sub(_mathml, content)


def command_help() -> str:
    """Return the help of every command as Markdown, a section for each."""
    pages: str = make_app().generate_docs("markdown", heading_level=1)
    return pages[pages.index("\n## ") :]


def _mathml(match: re.Match[str]) -> str:
    block = match["tag"] == "div"
    equation = convert(html.unescape(match["latex"]), display="block" if block else "inline")
    return f'<div class="equation">{equation}</div>' if block else equation
