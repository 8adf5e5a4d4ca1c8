"""The words of the old dictionary stay out of the product: identifiers, prose and logs."""

import io
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("agents", "gateway", "schemas", "topics")
OLD_WORDS = frozenset(
    """
    ABOUT Acked Belongings Bus CROWD Calm Catch CatchSchema Conversation Deadlines Desk
    Errand ErrandAgent Fate Fold ForeignReplies GOODS Goods HOME Heart InLoop Inbox Intake
    Interview Judgement Kept Letter Moved NotLetInError NotTaken Notices OpenBatches Outbox
    Owed Parcels Pauses Poison PoliteFetcher Press Promises Pulse Said Shelf Shopfront
    Stepped TALKATIVE TableRows Trouble Witness asked belongings bury bus catch complain
    converse crowd desk die errand errands facts fate forgetting forgotten graves hear heard
    heart hop hops hopeless intake judgement leftovers legible letter one_row outbox
    overtaken owed parcels poison polite press promises pulse riding said send_together
    shelf soundness stranger told trouble verdict weigh witness
    """.split()  # noqa: SIM905 -- a list of words reads best as words
)

OLD_PROSE = frozenset(
    """
    anew belongings beside bury buried complain complains desk desks die dies errand errands
    goods graves he hear heard hears him his hopeless knows legible likewise mind minds
    nobody parcel pieces riding said say says shelf shelves somebody stranger
    strangers tell tells told wants whoever witness
    """.split()  # noqa: SIM905
)
_FSTRING = [tokenize.FSTRING_MIDDLE] if hasattr(tokenize, "FSTRING_MIDDLE") else []
_WORD = re.compile(r"[a-z]+")


def identifiers(source: str) -> Iterator[tuple[int, str]]:
    """Yield each identifier with its line."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def prose(source: str) -> Iterator[tuple[int, str]]:
    """Yield each lower-case word of comments and strings with the line of its token."""
    kinds = (tokenize.COMMENT, tokenize.STRING, *_FSTRING)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in kinds:
            for word in _WORD.findall(token.string.lower()):
                yield token.start[0], word


@pytest.mark.parametrize("package", PRODUCT)
@pytest.mark.parametrize(
    ("listed", "old"),
    [(identifiers, OLD_WORDS), (prose, OLD_PROSE)],
    ids=["names", "prose"],
)
def test_no_word_is_of_the_old_dictionary(
    package: str, listed: Callable[[str], Iterator[tuple[int, str]]], old: frozenset[str]
):
    files = [file for file in (ROOT / package).rglob("*.py") if "_pb2" not in file.name]
    found = [
        f"{file.relative_to(ROOT)}:{line}: {word}"
        for file in files
        for line, word in listed(file.read_text())
        if word in old
    ]

    assert files
    assert found == []


@pytest.mark.parametrize(
    "source",
    ["# told so", 'log("event=x", "Told so")', 'f"{x} told {y}"', '"""\ntold\n"""'],
)
def test_an_old_word_is_found_in_prose(source: str):
    assert "told" in [word for _, word in prose(source)]


def test_an_old_word_is_found_as_a_whole_identifier_only():
    source = "shelf_life = desk.said  # a heart\n"

    assert [name for _, name in identifiers(source) if name in OLD_WORDS] == [
        "desk",
        "said",
    ]
