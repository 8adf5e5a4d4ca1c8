"""The pages for people: complete, and without external resources."""

import json
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from gateway.openapi import document
from gateway.pages import pages
from schemas.examples import EXAMPLES
from topics.catalog import TOPICS
from topics.kafka.settings import KafkaSettings

PAGES = pages(KafkaSettings())
HTML = [path for path, page in PAGES.items() if page.media_type == "text/html"]
EMPTY = {"meta", "link", "br"}


class Outline(HTMLParser):
    """Checks that each tag is closed, and collects the links."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in EMPTY:
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def text(path: str) -> str:
    return PAGES[path].content.decode()


@pytest.mark.parametrize("path", HTML)
def test_a_page_is_well_formed_and_has_no_external_links(path: str):
    outline = Outline()
    outline.feed(text(path))
    assert outline.open == []
    assert outline.links
    known = {path[1:] for path in PAGES} | {"livez", "readyz", "metrics"}
    places = re.findall(r'id="([^"]+)"', text(path))
    for link in outline.links:
        assert link in known or link.removeprefix("#") in places, link


def test_the_start_page_lists_every_call():
    calls = [path for path, item in document()["paths"].items() if "post" in item]
    assert all(f"<code>{path}</code>" in text("/") for path in calls)


def test_the_events_page_has_every_topic_message_and_header():
    html = unescape(text("/events"))
    plain = re.sub("</?code>", "`", html)
    assert "plain JSON with its `type`;" in plain
    asyncapi = json.loads(PAGES["/asyncapi.json"].content)
    assert all(f'<h2 id="{topic.name}">' in html for topic in TOPICS)
    for message in asyncapi["components"]["messages"].values():
        assert f"`{message['name']}` {message['summary']}" in plain
    for name, schema in asyncapi["components"]["schemas"].items():
        if name.endswith("Headers"):
            assert all(f"<code>{field}</code>" in html for field in schema["properties"])
    for example in EXAMPLES.values():
        shown = json.dumps(example.request.model_dump(mode="json"), ensure_ascii=False)
        assert f"<pre>{shown}</pre>" in html
    assert "Answered by <code>stocks</code> or <code>refused</code>." in html
    assert "kept: 30 days" in html


def test_swagger_ui_shows_our_asyncapiwithout_external_requests():
    html = text("/docs")
    assert 'url: "openapi.json"' in html
    assert "validatorUrl: null" in html
    script = PAGES["/docs/swagger-ui-bundle.js"].content
    assert b"SwaggerUIBundle" in script
    # It shows the button by itself where the document has a security scheme.
    assert b"authorizeBtn" in script
    assert b"securitySchemes" in PAGES["/openapi.json"].content
    assert len(script) > 1_000_000
