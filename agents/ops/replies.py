"""Replies as tools read them: also those of workers that are newer than the tool."""

import json
from typing import NamedTuple


class RefusedReply(NamedTuple):
    """A refusal."""

    code: str
    text: str

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.code} ({self.text})"


def refusal(reply: bytes) -> RefusedReply | None:
    """Return the refusal that a reply is; None if it is none."""
    said = json.loads(reply)
    if said["type"] != "refused":
        return None
    return RefusedReply(str(said["code"]), str(said["text"]))
