"""A bug to plant into the rules."""

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple


class Bug(NamedTuple):
    """What a rule would do and how it comes to; a World catches it unless a spec does."""

    name: str
    module: ModuleType
    right: str
    wrong: str
    spec: Callable[..., None] | None = None
