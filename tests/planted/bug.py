"""A bug to be planted."""

from typing import NamedTuple


class Bug(NamedTuple):
    """A wrong text in place of the right one, which stands in its file exactly once.

    Attributes:
        noticed_by: a test that must fail, as pytest names it.
    """

    name: str
    file: str
    right: str
    wrong: str
    noticed_by: str
