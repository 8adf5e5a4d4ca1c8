"""All bugs of runtime, gateway and audit; those of the rules: tests/unit/bugs.py."""

from tests.planted import (
    of_audit,
    of_clients,
    of_commits,
    of_door,
    of_moves,
    of_repartition,
    of_retention,
    of_speech,
    of_state,
    of_tasks,
)

_SUBJECTS = (
    *(of_state, of_commits, of_moves, of_clients, of_speech, of_door, of_audit),
    *(of_repartition, of_retention, of_tasks),
)
BUGS = tuple(bug for subject in _SUBJECTS for bug in subject.BUGS)
