"""URLs of the settings: errors do not repeat them, and requests do not change them."""

import re
import string
from base64 import b64encode
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from yarl import URL

_AUTHORITY = re.compile(r"[^:]+://[^/?#]*")
_UNCHANGED = string.ascii_letters + string.digits + string.punctuation


def split_url(url: str, *schemes: str) -> SplitResult:
    """Return the parts of a URL.

    Raises:
        ValueError: the URL or its scheme is invalid; the text does not repeat the URL,
            since it may have a password.
    """
    form = f"{' or '.join(schemes)}://host, with or without :port"
    # urlsplit drops tabs and line breaks; its errors repeat a part of the URL.
    if url != url.strip() or not url.isprintable():
        raise ValueError(f"must be {form}, without spaces or line breaks around it")
    try:
        parts = urlsplit(url)
        is_host = parts.hostname and " " not in parts.hostname and parts.port != 0
        is_url = is_host and parts.scheme in schemes
    except ValueError:
        is_url = False
    if not is_url:
        hint = "write special characters of a password as %XX"
        raise ValueError(f"must be {form}; {hint}")
    return parts


def exact_url(url: str) -> URL:
    """Return a URL without its login; its path and query are sent byte for byte.

    yarl would decode `%2F` in a query, which breaks a signature over the query. Only
    spaces and non-ASCII characters are encoded.
    """
    authority = _AUTHORITY.match(url)
    begin = authority.end() if authority else 0
    origin = str(URL(url[:begin]).with_user(None)).removesuffix("/")
    return URL(origin + quote(url[begin:], safe=_UNCHANGED), encoded=True)


def login(url: str) -> tuple[bytes, bytes] | None:
    """Return the user and the password of a URL, decoded to bytes."""
    before, at, _ = urlsplit(url).netloc.rpartition("@")
    user, _, password = before.partition(":")
    return (unquote_to_bytes(user), unquote_to_bytes(password)) if at else None


def basic_auth(url: str) -> dict[str, str]:
    """Return the header for the login of a URL, if it has one."""
    if (credentials := login(url)) is None:
        return {}
    return {"Authorization": f"Basic {b64encode(b':'.join(credentials)).decode()}"}
