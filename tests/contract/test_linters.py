"""Both documents under other people's linters, with the rule sets that come with these."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.pages import pages
from tests.programs import npm_ci, run
from topics.kafka.settings import KafkaSettings

HERE = Path(__file__).parent
WITHIN_SECONDS = 120
WARNING = 1  # Spectral's severities: 0 error, 1 warning, 2 information, 3 hint
# `asyncapi-latest-version` is information: 3.1 is out, but fewer tools can read it.
QUIET = ("env", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true", "REDOCLY_TELEMETRY=off")


@pytest.fixture(scope="module")
def linters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The linters, and the documents beside them."""
    here = npm_ci(HERE / "linters", tmp_path_factory.mktemp("npm"))
    for name, is_locked in (("open", False), ("locked", True)):
        shown = pages(KafkaSettings(kafka="one:9092,two:9092"), is_locked=is_locked)
        (here / f"openapi-{name}.json").write_bytes(shown["/openapi.json"].content)
    (here / "asyncapi.json").write_bytes(shown["/asyncapi.json"].content)
    return here


def lint(linters: Path, *words: str) -> Any:
    # An exit code of 1 means that there are errors; the output lists them.
    shell = 'out=$("$@"); code=$?; [ $code -le 1 ] && printf %s "$out"'
    output = run("sh", "-c", shell, "sh", *words, within=WITHIN_SECONDS, here=linters)
    return json.JSONDecoder().raw_decode(output)[0]


def spectral(linters: Path, document: str) -> list[tuple[str, str]]:
    words = ("node_modules/.bin/spectral", "lint", "--quiet", "--format=json", document)
    found = [one for one in lint(linters, *words) if one["severity"] <= WARNING]
    return [(one["code"], ".".join(map(str, one["path"]))) for one in found]


def redocly(linters: Path, document: str) -> list[tuple[str, str]]:
    words = (*QUIET, "node_modules/.bin/redocly", "lint", "--format=json", document)
    found = lint(linters, *words)["problems"]
    return [(one["ruleId"], one["location"][0]["pointer"]) for one in found]


@pytest.mark.parametrize("name", ["openapi-open", "openapi-locked", "asyncapi"])
def test_spectral_has_no_error_and_no_warning(linters: Path, name: str):
    assert spectral(linters, f"{name}.json") == []


# Redocly's own schema of AsyncAPI is narrower than AsyncAPI's: an address may be null, and
# a topic may have other settings than those that Redocly lists. See test_asyncapi.py.
@pytest.mark.parametrize("name", ["openapi-open", "openapi-locked"])
def test_redocly_has_no_error_and_no_warning(linters: Path, name: str):
    assert redocly(linters, f"{name}.json") == []


def test_the_linters_do_look(linters: Path):
    document = json.loads((linters / "openapi-open.json").read_text())
    del document["servers"], document["paths"]["/stocks"]["post"]["security"]
    del document["paths"]["/livez"]["get"]["operationId"]
    (linters / "worse.json").write_text(json.dumps(document))
    assert {rule for rule, _ in spectral(linters, "worse.json")} == {
        "oas3-api-servers",
        "operation-operationId",
    }
    assert {rule for rule, _ in redocly(linters, "worse.json")} == {
        "no-empty-servers",
        "operation-operationId",
        "security-defined",
    }
