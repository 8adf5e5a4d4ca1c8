"""The HTML of a notice, for mail programs that show it: pure.

Mail programs drop style sheets and scripts, and some invert colours: so there is a plain
table, and neither a colour nor a picture.
"""

from html import escape
from textwrap import fill

from agents.notifications.notification import WIDTH, Notification

_LEFT = '<td style="padding: 2px 24px 2px 0">'
_RIGHT = '<td align="right">'


def html_body(notice: Notification) -> str:
    """Lay a notice out as a page; it says what the plain text says."""
    rows = (_row(f"sku {item.sku}", item.count) for item in notice.event.items)
    subject = escape(notice.subject)
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f"<title>{subject}</title></head>",
            '<body style="font-family: sans-serif">',
            f'<h1 style="font-size: 1.3em">{subject}</h1>',
            f"<p>{escape(fill(notice.meaning, WIDTH))}</p>",
            "<table>",
            _row("", "pieces"),
            *rows,
            "</table>",
            f"<p><b>{escape(notice.total)}</b></p>",
            f"<p><small>{escape(notice.when)}</small></p>",
            "</body></html>",
            "",
        )
    )


def _row(what: str, how_many: object) -> str:
    return f"<tr>{_LEFT}{escape(what)}</td>\n{_RIGHT}{escape(str(how_many))}</td></tr>"
