"""The file of tokens: its lines, and its edits."""

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.routes import ROUTES, Route
from gateway.tokens import (
    Role,
    TokenFile,
    line,
    new_token,
    parse,
)
from schemas.contract import Contract, Done

A, B = "a" * 64, "b" * 64
# printf %s word | sha256sum
OF_WORD = "98c1eb4ee93476743763878fcb96a25fbc9a175074d64004779ecb5242f645e6"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("", {}),
        ("\n# no token yet\n  \n\t# here neither\n", {}),
        (f"{A} customer", {A: "customer"}),
        (f"{A} customer\n{B} operator\n", {A: "customer", B: "operator"}),
        (f"  {A.upper()}\t payments  of the bank # 2026\r\n", {A: "payments"}),
        (f"{A} customer\u2028\x85 of Anna\x0c\n{A} customer\n", {A: "customer"}),
    ],
)
def test_a_messageis_a_hash_and_a_role(text: str, roles: dict[str, str]):
    assert parse(text) == roles


@pytest.mark.parametrize(
    "bad",
    [
        *(
            "hush",
            "customer",
            f"{A}",
            f"{A}customer",
            f"{A[1:]} customer",
            f"{A}0 customer",
        ),
        *(
            f"{A} admin",
            f"{A} Customer",
            f"{A} # customer",
            f"customer {A}",
            f"{A},customer",
        ),
        *(f"{B} operator", "g" * 64 + " customer", "\uff11" * 64 + " customer"),
        f"sha256:{A} customer",
    ],
)
def test_an_invalid_messageis_named_by_its_number_and_never_repeated(bad: str):
    with pytest.raises(ValueError, match="line 3") as raised:
        parse(f"# tokens\n{B} customer\n{bad}\n{A} customer\n")
    reason = str(raised.value)
    assert bad not in reason
    assert "hush" not in reason
    assert A[1:] not in reason
    assert B not in reason


def test_a_token_has_256_random_bits_and_only_its_hash_in_the_file(path: Path):
    token, other = new_token(), new_token()
    assert len(token) == len(other) == 43
    assert token != other
    written = line(token, Role.PAYMENTS, "of the bank,\nwho else")
    assert token not in written
    digest = sha256(token.encode()).hexdigest()
    assert written == f"{digest} payments of the bank, who else"
    path.write_text(written)
    assert TokenFile(path).role_of(token) is Role.PAYMENTS


@pytest.mark.parametrize(
    "token", ["", "Word", "word ", OF_WORD, "wörd", "\udcff", "w" * 10**6]
)
def test_an_unknown_token_has_no_role(path: Path, token: str):
    path.write_text(f"{OF_WORD} customer\n")
    tokens = TokenFile(path)
    assert tokens.role_of(token) is None
    assert tokens.role_of("word") is Role.CUSTOMER


def test_every_hash_is_compared_in_constant_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    compared = []
    path.write_text(f"{OF_WORD} customer\n{A} payments\n{B} operator\n")
    tokens = TokenFile(path)

    def compare(known: str, given: str) -> bool:
        compared.append((known, given))
        return known == given

    monkeypatch.setattr("hmac.compare_digest", compare)
    assert tokens.role_of("word") is Role.CUSTOMER
    assert compared == [(OF_WORD, OF_WORD), (A, OF_WORD), (B, OF_WORD)]


def test_an_edit_is_effective_at_once_however_small(path: Path):
    path.write_text(f"{OF_WORD} payments\n")
    tokens = TokenFile(path)
    for _ in range(50):  # of one length, and within one tick of the clock
        for role in (Role.OPERATOR, Role.PAYMENTS):
            path.write_text(f"{OF_WORD} {role}\n")
            assert tokens.role_of("word") is role
    path.write_text("")
    assert tokens.role_of("word") is None


def test_an_edit_that_restores_the_time_is_seen(path: Path):
    path.write_text(f"{OF_WORD} payments\n")
    os.utime(path, (1, 1))
    tokens = TokenFile(path)
    path.write_text(f"{OF_WORD} operator\n")
    os.utime(path, (1, 1))
    assert tokens.role_of("word") is Role.OPERATOR


def test_an_unchanged_file_is_parsed_once(path: Path, monkeypatch: pytest.MonkeyPatch):
    path.write_text(f"{OF_WORD} payments\n")
    tokens = TokenFile(path)
    monkeypatch.setattr("gateway.tokens.parse", None)
    assert tokens.role_of("word") is Role.PAYMENTS


@pytest.mark.parametrize("bad", ["hush operator\n", "\xff\x00", f"{OF_WORD} admin"])
def test_after_an_invalid_edit_the_last_valid_list_is_in_force(
    path: Path, caplog, bad: str
):
    path.write_text(f"{OF_WORD} customer\n")
    tokens = TokenFile(path)
    caplog.set_level("INFO")
    path.write_text(f"{A} operator\n{bad}")
    assert [tokens.role_of("word") for _ in range(3)] == [Role.CUSTOMER] * 3
    [message] = caplog.messages
    assert message.startswith("event=tokens-not-loaded reason='line 2")
    assert "hush" not in message
    assert OF_WORD not in message
    path.write_text(f"{OF_WORD} payments\n")
    assert tokens.role_of("word") is Role.PAYMENTS
    assert caplog.messages[1:] == ["event=tokens-loaded tokens=1"]


def test_a_missing_file_does_not_permit_calls(path: Path, caplog):
    path.write_text(f"{OF_WORD} customer\n")
    tokens = TokenFile(path)
    for _ in range(2):
        caplog.clear()
        away = path.rename(path.with_name("away"))
        assert tokens.role_of("word") is Role.CUSTOMER
        assert tokens.role_of("other") is None
        [message] = caplog.messages
        assert "No such file" in message
        away.rename(path)
        assert tokens.role_of("word") is Role.CUSTOMER
    path.unlink()
    path.mkdir()
    assert tokens.role_of("other") is None
    path.rmdir()
    path.write_text("")
    assert tokens.role_of("word") is None


def test_a_new_call_is_for_operators_only():
    assert Route("/new", Contract, Done).roles == set()
    calls = {role: {route.path for route in ROUTES if role in route.roles} for role in Role}
    others = {"/orderPayed", "/receiveStock"}
    assert calls[Role.CUSTOMER] == {route.path for route in ROUTES} - others
    assert calls[Role.PAYMENTS] == {"/orderPayed", "/listOrder"}


def gateway(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "gateway", *words)
    env = os.environ | environment
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_the_command_writes_a_messagefor_the_file_and_shows_the_token_once(path: Path):
    ran = gateway("token", "operator", "Anna", "2026")
    path.write_text(ran.stdout)
    assert ran.returncode == 0
    [token] = ran.stderr.splitlines()
    assert ran.stdout == f"{sha256(token.encode()).hexdigest()} operator Anna 2026\n"
    assert TokenFile(path).role_of(token) is Role.OPERATOR


@pytest.mark.parametrize(
    "words", [("token",), ("token", "admin"), ("tokens",), ("token", "")]
)
def test_wrong_usage_is_reported_by_click(words: tuple[str, ...], capsys):
    with pytest.raises(SystemExit) as ended:
        main(words, prog_name="python -m gateway")
    assert ended.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "Usage: python -m gateway" in output.err


@pytest.mark.parametrize(
    ("words", "content", "why"),
    [
        ((), f"{A} operator\nhush customer\n", "line 2 must be"),
        (("check",), None, "must be a file that can be read"),
    ],
)
def test_an_invalid_file_is_an_invalid_setting(
    path: Path, words: tuple[str, ...], content: str | None, why: str
):
    if content:
        path.write_text(content)
    ran = gateway(*words, GATEWAY_TOKENS=str(path))
    assert ran.returncode == 2
    [message] = ran.stderr.splitlines()
    assert "event=bad-setting name=gateway_tokens" in message
    assert why in message
    assert "hush" not in message
