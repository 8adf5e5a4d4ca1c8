"""The one exception of the rules."""

from schemas.contract import Code


class Refusal(Exception):  # noqa: N818 -- an answer, not an error
    """A rule refuses a request: nothing is stored, and the client gets a reply.

    Raised by pure rules only; the runtime turns it into a reply.
    """

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
