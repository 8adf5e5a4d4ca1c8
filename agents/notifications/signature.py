"""How whoever gets a webhook knows that it comes from this shop: pure.

The moment is signed together with the body (as Stripe does it), so that an old post can't
be played to him again; the signature says by what hash it was made (as GitHub's does).
"""

import hmac
from datetime import datetime

TIMESTAMP = "X-Shop-Timestamp"
SIGNATURE = "X-Shop-Signature"

_HASH = "sha256"


def signature(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers that vouch for a body.

    Args:
        secret: that shop and receiver share.
        at: the moment of this attempt, so that a late one is not taken for an old one.
        body: the very bytes that are sent.
    """
    seconds = str(int(at.timestamp()))
    said = seconds.encode() + b"." + body
    digest = hmac.new(secret.encode(), said, _HASH).hexdigest()
    return {TIMESTAMP: seconds, SIGNATURE: f"{_HASH}={digest}"}
