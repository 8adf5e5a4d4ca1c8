"""The URLs of the settings: checked without repeating them, and sent as they are."""

import re
import string
from base64 import b64encode
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from yarl import URL

_AUTHORITY = re.compile(r"[^:]+://[^/?#]*")
_AS_IT_IS = string.ascii_letters + string.digits + string.punctuation


def split_url(url: str, *schemes: str) -> SplitResult:
    """Return the parts of a URL.

    Raises:
        ValueError: it is none, or of another scheme; the text does not repeat it, since it
            may hold a password.
    """
    wanted = f"{' or '.join(schemes)}://host, with or without :port"
    # urlsplit drops tabs and line breaks, and what it raises repeats a part of the URL.
    if url != url.strip() or not url.isprintable():
        raise ValueError(f"must be {wanted}, and have no space or line break around it")
    try:
        parts = urlsplit(url)
        is_host = parts.hostname and " " not in parts.hostname and parts.port != 0
        is_url = is_host and parts.scheme in schemes
    except ValueError:
        is_url = False
    if not is_url:
        hint = "special characters of a password as %XX"
        raise ValueError(f"must be {wanted}; {hint}")
    return parts


def exact_url(url: str) -> URL:
    """Return a URL without its login, whose path and query are sent byte for byte.

    yarl would decode `%2F` and the like in a query, and a signature over it would not be
    valid any more. Only spaces and what is not ASCII are encoded.
    """
    authority = _AUTHORITY.match(url)
    begin = authority.end() if authority else 0
    origin = str(URL(url[:begin]).with_user(None)).removesuffix("/")
    return URL(origin + quote(url[begin:], safe=_AS_IT_IS), encoded=True)


def login(url: str) -> tuple[bytes, bytes] | None:
    """Return the user and the password of a URL, decoded to the bytes that are meant."""
    before, at, _ = urlsplit(url).netloc.rpartition("@")
    user, _, password = before.partition(":")
    return (unquote_to_bytes(user), unquote_to_bytes(password)) if at else None


def basic_auth(url: str) -> dict[str, str]:
    """Return the header for the login of a URL, if it has one."""
    if (given := login(url)) is None:
        return {}
    return {"Authorization": f"Basic {b64encode(b':'.join(given)).decode()}"}
