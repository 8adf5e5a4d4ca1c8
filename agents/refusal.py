"""The one exception of the rules."""

from schemas.contract import Code


class Refusal(Exception):  # noqa: N818 -- an answer, not an error
    """A rule said no: nothing is stored, and the caller is told.

    Raised by pure rules only; the runtime turns it into a reply.
    """

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
