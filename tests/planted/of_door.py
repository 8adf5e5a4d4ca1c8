"""Bugs of the lock of the HTTP door."""

from tests.planted.bug import Bug

_LOCKED = "tests/component/test_gateway_locked.py::test_"
_TOKENS = "tests/unit/test_tokens.py::test_"

BUGS = (
    Bug(
        "a locked door lets everybody in",
        "gateway/app.py",
        "if self._tokens is not None:",
        "if False:",
        f"{_LOCKED}a_request_without_a_valid_token_gets_a_challenge",
    ),
    Bug(
        "a token of any role opens every call of the door",
        "gateway/tokens.py",
        "if request.rel_url.raw_path not in CALLS[role]:",
        "if False:",
        f"{_LOCKED}a_role_makes_its_calls_and_no_others",
    ),
    Bug(
        "the door reads a body before it looks at the token",
        "gateway/app.py",
        "            authorize(self._tokens, request)",
        "            await self._bodies.read(request)\n"
        "            authorize(self._tokens, request)",
        f"{_LOCKED}a_client_that_waits_to_send_a_body_is_refused_at_once",
    ),
    Bug(
        "a file of tokens that vanishes locks everybody out",
        "gateway/tokens.py",
        "            self._version = None  # the file may return with the same version\n",
        "            self._version, self._roles = None, {}\n",
        f"{_TOKENS}a_missing_file_does_not_permit_calls",
    ),
    Bug(
        "an edit of the tokens holds after a restart only",
        "gateway/tokens.py",
        "            if version == self._version:\n",
        "            if self._version or self._roles:\n",
        f"{_TOKENS}an_edit_is_effective_at_once_however_small",
    ),
)
