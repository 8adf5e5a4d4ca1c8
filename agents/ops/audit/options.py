"""How an audit is to be done."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """How an audit is to be done.

    Attributes:
        questions: how many to ask of each kind, at most.
        seed: chooses whom they are about.
        patience: how long to wait for each answer.
        stores: the directory that holds one state directory a worker, if it is here.
    """

    questions: int = 200
    seed: int = 0
    patience: timedelta = timedelta(seconds=20)
    stores: Path | None = None
