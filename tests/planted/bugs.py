"""All bugs of the runtime and the gateway; those of the rules: tests/unit/bugs.py."""

from tests.planted import of_speech, of_state

BUGS = (*of_state.BUGS, *of_speech.BUGS)
