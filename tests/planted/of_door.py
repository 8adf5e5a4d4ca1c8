"""Bugs of the authorization of HTTP calls."""

from tests.planted.bug import Bug

_LOCKED = "tests/component/test_gateway_locked.py::test_"
_TOKENS = "tests/unit/test_tokens.py::test_"

BUGS = (
    Bug(
        "calls need no token, although there is a file of tokens",
        "gateway/app.py",
        "if self._tokens is not None:",
        "if False:",
        f"{_LOCKED}a_request_without_a_valid_token_gets_a_challenge",
    ),
    Bug(
        "a token of any role may make every call",
        "gateway/tokens.py",
        "if role is not Role.OPERATOR and role not in roles:",
        "if False:",
        f"{_LOCKED}a_role_makes_its_calls_and_no_others",
    ),
    Bug(
        "the gateway reads a body before it checks the token",
        "gateway/app.py",
        "            authorize(self._tokens, request, route.roles)",
        "            await self._bodies.read(request)\n"
        "            authorize(self._tokens, request, route.roles)",
        f"{_LOCKED}a_client_that_waits_to_send_a_body_is_refused_at_once",
    ),
    Bug(
        "a missing file of tokens revokes all tokens",
        "gateway/tokens.py",
        "            self._failure = str(error)\n",
        "            self._failure, self._roles = str(error), {}\n",
        f"{_TOKENS}a_missing_file_does_not_permit_calls",
    ),
    Bug(
        "an edit of the tokens is effective after a restart only",
        "gateway/tokens.py",
        "if content == self._content and not self._failure:",
        "if self._content is not None and not self._failure:",
        f"{_TOKENS}an_edit_is_effective_at_once_however_small",
    ),
)
