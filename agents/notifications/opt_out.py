"""The users who want no notices: a file that an operator keeps."""

import logging
import os
import re
from pathlib import Path

_USER = re.compile(r"-?[0-9]{1,19}")
_USERS = range(-(2**63), 2**63)  # int64
_MOST_TOLD = 10  # lines: a file that is something else has thousands

_log = logging.getLogger(__name__)


class OptOut:
    """Who is on the list, as the file says at the moment of asking.

    While the file can't be read (an editor may be replacing it) it holds what it said last.

    Args:
        path: one user id a line, in decimal; # begins a remark.

    Raises:
        OSError: it can't be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._users = frozenset[int]()
        self._bad: dict[str, int] = {}
        self._read_as: tuple[int, ...] | None = None
        self._is_lost = False
        self._read()

    def __contains__(self, user: object) -> bool:
        try:
            self._read()
        except OSError as why:
            self._log_lost(why)
        else:
            self._is_lost = False
        return user in self._users

    def _read(self) -> None:
        """Read the file, unless it is what it was when it was read last."""
        with self._path.open("rb") as file:
            stat = os.fstat(file.fileno())
            # With size and inode: two edits may share one tick of the file system's clock.
            now = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if now == self._read_as:
                return
            self._take(file.read().decode("utf-8-sig", "replace"))
        self._read_as = now

    def _take(self, text: str) -> None:
        self._users, bad = parse(text)
        # What is in them is not repeated: it may be an address, or not this file at all.
        new = sorted(bad[line] for line in bad.keys() - self._bad.keys())
        self._bad = bad
        if new:
            _log.warning(
                'lines that are no user ids are ignored file="%s" number=%d first=%s',
                self._path,
                len(new),
                ",".join(map(str, new[:_MOST_TOLD])),
            )
        _log.info('opted out file="%s" users=%d', self._path, len(self._users))

    def _log_lost(self, why: OSError) -> None:
        if not self._is_lost:
            _log.error(
                'the last list holds, for it can not be read file="%s" why=%r',
                self._path,
                why.strerror,
            )
        self._is_lost = True


def parse(text: str) -> tuple[frozenset[int], dict[str, int]]:
    """Read a list.

    Returns:
        The users on it; and each line that is none, with the number under which it stands.
    """
    users, bad = set[int](), dict[str, int]()
    for number, line in enumerate(text.splitlines(), 1):
        word = line.partition("#")[0].strip()
        if _USER.fullmatch(word) and int(word) in _USERS:
            users.add(int(word))
        elif word:
            bad.setdefault(word, number)
    return frozenset(users), bad
