"""HTML pages from templates, which share `templates/base.html` and its style sheet."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

_SHARED = Path(__file__).parent / "templates"
_TYPED = re.compile("`([^`]+)`")


def environment(folder: Path) -> Environment:
    """Return the templates of a folder; values are escaped."""
    loader = FileSystemLoader([folder, _SHARED])
    templates = Environment(loader=loader, autoescape=True, trim_blocks=True)
    templates.filters["prose"] = prose
    return templates


def prose(text: str) -> Markup:
    """Return text as HTML, in which backticks become code."""
    return Markup(_TYPED.sub(r"<code>\1</code>", escape(text)))  # noqa: S704 -- escaped
