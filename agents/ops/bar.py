"""How far a work has come, for whoever waits at a terminal; for nobody else."""

import sys
from typing import TextIO

_WIDTH = 40


class Bar:
    """A line that is written over and over, whenever the next percent is reached.

    Args:
        total: what there is to do.
        out: where it is shown, if that is a terminal.
    """

    def __init__(self, total: int, out: TextIO = sys.stderr) -> None:
        self._total = total
        self._out = out if total and out.isatty() else None
        self._percent = -1

    def show(self, done: int) -> None:
        """Show how much has been done."""
        if self._out is None or done * 100 // self._total == self._percent:
            return
        self._percent = done * 100 // self._total
        filled = "#" * (_WIDTH * done // self._total)
        line = f"\r[{filled:<{_WIDTH}}] {self._percent:3} %  {done}/{self._total}"
        self._out.write(line)
        self._out.flush()

    def clear(self) -> None:
        """Leave the line as if nothing had been there."""
        if self._out is not None:
            self._out.write("\r\033[K")
            self._out.flush()
