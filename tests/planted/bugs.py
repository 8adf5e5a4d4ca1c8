"""All bugs of runtime, gateway and audit; those of the rules: tests/unit/bugs.py."""

from tests.planted import of_audit, of_commits, of_door, of_speech, of_state

BUGS = (
    *of_state.BUGS,
    *of_commits.BUGS,
    *of_speech.BUGS,
    *of_door.BUGS,
    *of_audit.BUGS,
)
