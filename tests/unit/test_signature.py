"""Signatures of webhooks: made as agents/ops/README.md has receivers verify them."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agents.notifications.transports import SIGNATURE, TIMESTAMP, signature

CHAPTER = Path(__file__).parents[2] / "agents" / "ops" / "README.md"
AT = datetime(2026, 11, 23, 16, 31, 5, 999999, tzinfo=UTC)
BODY = '{"type": "orderStatusChanged", "user": -1, "пусто": ""}\n'.encode()


def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Run the example of the chapter."""
    [example] = [
        text.partition("```")[0]
        for text in CHAPTER.read_text().split("```python\n")[1:]
        if SIGNATURE in text.partition("```")[0]
    ]
    there: dict = {}
    exec(example, there)
    return there["is_from_the_shop"](secret, headers, body)


def test_a_signature_is_one_over_moment_and_body():
    assert signature("secret", AT, b"{}") == {
        "X-Shop-Timestamp": "1795451465",
        "X-Shop-Signature": "sha256=" + hmac_of("secret", b"1795451465.{}"),
    }


def hmac_of(secret: str, data: bytes) -> str:
    """Have openssl compute it."""
    words = ["openssl", "dgst", "-sha256", "-hmac", secret, "-r"]
    return (
        subprocess.run(words, input=data, capture_output=True, check=True)
        .stdout.split()[0]
        .decode()
    )


def test_what_was_signed_now_is_from_the_shop():
    assert verify("secret", signature("secret", datetime.now(UTC), BODY), BODY)


@pytest.mark.parametrize(
    "forged",
    [
        lambda headers: (headers, BODY + b" "),
        lambda headers: (headers | {TIMESTAMP: str(int(headers[TIMESTAMP]) + 1)}, BODY),
        lambda headers: (headers | {SIGNATURE: "sha256=" + 64 * "0"}, BODY),
        lambda headers: (signature("another", datetime.now(UTC), BODY), BODY),
        lambda headers: (
            signature("secret", datetime.now(UTC) - timedelta(minutes=6), BODY),
            BODY,
        ),
    ],
)
def test_what_was_changed_or_is_old_is_not(forged):
    assert not verify("secret", *forged(signature("secret", datetime.now(UTC), BODY)))
