"""The users who get no notifications, from a file that an operator edits."""

import logging
import re
from pathlib import Path

_USER = re.compile(r"-?[0-9]{1,19}")
_USERS = range(-(2**63), 2**63)  # int64
_MAX_LOGGED = 10  # lines: a wrong file may have thousands

_NOT_LOADED = 'event=opt-out-not-loaded file="%s" reason=%r effect="last list is used"'

_log = logging.getLogger(__name__)


class OptOut:
    """The users in a file, as it is at each lookup: one id a line, # begins a comment.

    While the file can't be read (an editor may be replacing it), the last list is used.

    Raises:
        OSError: the file can't be read at first.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._users = frozenset[int]()
        self._bad: dict[str, int] = {}
        self._content: bytes | None = None
        self._is_lost = False
        self._read()

    def __contains__(self, user: object) -> bool:
        try:
            self._read()
            self._is_lost = False
        except OSError as error:
            if not self._is_lost:
                _log.error(_NOT_LOADED, self._path, error.strerror)
            self._is_lost = True
        return user in self._users

    def _read(self) -> None:
        """Read the file: two edits may share one tick of the file system's clock."""
        with self._path.open("rb", buffering=0) as file:
            content = file.read()
        if content != self._content:
            self._content = content
            self._update(content.decode("utf-8-sig", "replace"))

    def _update(self, text: str) -> None:
        self._users, bad = parse(text)
        # The content of bad lines is not logged: it may be an address or a secret.
        new = sorted(bad[line] for line in bad.keys() - self._bad.keys())
        self._bad = bad
        if new:
            text = 'event=opt-out-lines-invalid file="%s" count=%d lines=%s'
            lines = ",".join(map(str, new[:_MAX_LOGGED]))
            _log.warning(text, self._path, len(new), lines)
        _log.info('event=opt-out-loaded file="%s" users=%d', self._path, len(self._users))


def parse(text: str) -> tuple[frozenset[int], dict[str, int]]:
    """Return the users of a list, and each other line with its number."""
    users, bad = set[int](), dict[str, int]()
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip()
        if _USER.fullmatch(entry) and int(entry) in _USERS:
            users.add(int(entry))
        elif entry:
            bad.setdefault(entry, number)
    return frozenset(users), bad
