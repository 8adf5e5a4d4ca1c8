"""Spans, and the headers that carry them from service to service."""

import subprocess
import sys
import time
from threading import Event

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from topics.telemetry import otlp, tracing

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"
BEGUN = ("traceparent", f"00-{TRACE}-{PARENT}-01".encode())
OTHER = ("idempotency-key", b"k")


class Spans(InMemorySpanExporter):
    """The spans that have left the process."""

    def seen(self, tracer: otlp.Tracer) -> list[ReadableSpan]:
        tracer.provider.force_flush()
        return list(self.get_finished_spans())


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Spans:
    exporter = Spans()
    monkeypatch.setattr(otlp, "OTLPSpanExporter", lambda: exporter)
    return exporter


@pytest.fixture
def tracer(exporter: Spans) -> otlp.Tracer:
    return otlp.Tracer("loms")


def test_while_it_is_off_headers_pass_as_they_are():
    headers = [BEGUN, ("tracestate", b"\xff")]
    with tracing.span("process a", "CONSUMER", headers) as onward:
        assert onward is headers


def test_a_span_is_the_child_of_the_one_in_the_headers(tracer, exporter):
    with tracer.span("one", "SERVER", [OTHER, BEGUN], {"a": 1}) as onward:
        pass
    with tracer.span("two", "CONSUMER", onward, {}) as further:
        pass
    one, two = exporter.seen(tracer)
    assert f"{one.context.trace_id:032x}" == TRACE
    assert f"{one.parent.span_id:016x}" == PARENT
    assert two.parent.span_id == one.context.span_id
    assert dict(onward) | dict(further) == {
        "idempotency-key": b"k",
        "traceparent": f"00-{TRACE}-{two.context.span_id:016x}-01".encode(),
    }
    assert (one.resource.attributes["service.name"], one.attributes["a"]) == ("loms", 1)


def test_what_others_say_of_the_trace_rides_along(tracer):
    with tracer.span("one", "SERVER", [BEGUN, ("tracestate", b"shop=1")], {}) as onward:
        assert dict(onward)["tracestate"] == b"shop=1"


@pytest.mark.parametrize("value", [b"", None, b"\xff\xfe", b"00-0-0-0", BEGUN[1] * 20])
def test_headers_that_are_none_begin_a_trace(tracer, exporter, value):
    with tracer.span("one", "CONSUMER", [OTHER, ("traceparent", value)], {}) as onward:
        assert [name for name, _ in onward] == ["idempotency-key", "traceparent"]
    (one,) = exporter.seen(tracer)
    assert one.parent is None


def test_a_trace_that_is_not_to_be_kept_goes_on_and_is_not_told(tracer, exporter):
    unwanted = ("traceparent", BEGUN[1][:-2] + b"00")
    with tracer.span("one", "SERVER", [unwanted], {}) as onward:
        assert dict(onward)["traceparent"].startswith(f"00-{TRACE}-".encode())
        assert dict(onward)["traceparent"].endswith(b"-00")
    assert exporter.seen(tracer) == []


def test_a_failure_marks_its_span(tracer, exporter):
    with pytest.raises(TimeoutError), tracer.span("one", "SERVER", [], {}):
        raise TimeoutError
    (one,) = exporter.seen(tracer)
    assert one.status.status_code is StatusCode.ERROR


def test_a_process_does_not_wait_for_a_collector_that_is_away(tracer, exporter):
    stuck = Event()
    exporter.export = lambda _: stuck.wait(60)
    with tracer.span("one", "SERVER", [], {}):
        pass
    began = time.monotonic()
    tracer.end()
    assert time.monotonic() - began < otlp.SHUTDOWN_TIMEOUT_SECONDS + 1
    stuck.set()


def test_what_is_left_is_sent_at_the_end(tracer, exporter):
    with tracer.span("one", "SERVER", [], {}):
        pass
    tracer.end()
    assert [span.name for span in exporter.get_finished_spans()] == ["one"]


def test_who_does_not_trace_does_not_even_import_it():
    services = ("checkout", "loms", "products", "notifications")
    modules = ["gateway.__main__", *(f"agents.{service}.service" for service in services)]
    script = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert b"prometheus_client" in ran.stdout
    assert b"opentelemetry" not in ran.stdout
