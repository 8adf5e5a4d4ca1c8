"""Signs webhooks, so that a receiver can verify their sender: pure.

The time is signed together with the body, as Stripe does, so that an old request can't be
replayed. The signature names its hash, as GitHub's does.
"""

import hmac
from datetime import datetime

TIMESTAMP = "X-Shop-Timestamp"
SIGNATURE = "X-Shop-Signature"

_HASH = "sha256"


def signature(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers with the signature of a body.

    Args:
        secret: the shared secret of shop and receiver.
        at: the time of the attempt, so that a retry is not rejected as old.
        body: the bytes that are sent.
    """
    seconds = str(int(at.timestamp()))
    signed = seconds.encode() + b"." + body
    digest = hmac.new(secret.encode(), signed, _HASH).hexdigest()
    return {TIMESTAMP: seconds, SIGNATURE: f"{_HASH}={digest}"}
