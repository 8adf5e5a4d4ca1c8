"""HTML as the gateway's pages are made of it: one style, and nothing from outside."""

import re
from collections.abc import Iterable
from html import escape

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto;
       padding: 0 1rem; color: #222; background: #fff; }
code, pre { font: 14px/1.4 ui-monospace, monospace; }
pre { background: #f4f4f4; padding: .5rem .75rem; overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0 1rem;
        display: block; overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0;
         border-bottom: 1px solid #ddd; }
h2 { margin-top: 2.5rem; }
details { margin: .3rem 0; }
summary { cursor: pointer; }
details > :not(summary) { margin-left: 1.2rem; }
"""
_SHEET = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<link rel="icon" href="docs/favicon-32x32.png">
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
_TYPED = re.compile("`([^`]+)`")


def page(title: str, *parts: str) -> str:
    """Return a page; the parts are HTML, the title is text."""
    return _SHEET.format(title=escape(title), style=_STYLE, body="\n".join(parts))


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of cells that are HTML."""
    lines = [_line("th", heads), *(_line("td", row) for row in rows)]
    return f"<table>{''.join(lines)}</table>"


def _line(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in cells)}</tr>\n"


def code(text: object) -> str:
    """Return text as it is typed."""
    return f"<code>{escape(str(text))}</code>"


def prose(text: str) -> str:
    """Return text in which backticks stand around what is typed."""
    return _TYPED.sub(r"<code>\1</code>", escape(text))


def link(address: str, text: str) -> str:
    """Return a link."""
    return f'<a href="{escape(address)}">{escape(text)}</a>'
