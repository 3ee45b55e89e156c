"""Traces of requests for OpenTelemetry, where they are wanted: when each began, how long it took, and for which model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from tunewright.core.errors import MachineError


class Traces:
    """Spans of requests and answers; without an exporter there are none, and OpenTelemetry is not even loaded.

    exporter: an OpenTelemetry span exporter. Attributes hold routes, statuses, models, versions and counts.
    """

    def __init__(self, exporter: Any = None, *, together: bool = True) -> None:
        self._provider: Any = None
        if exporter is None:
            return
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

        self._provider = TracerProvider(resource=Resource.create({"service.name": "tunewright"}))
        self._provider.add_span_processor((BatchSpanProcessor if together else SimpleSpanProcessor)(exporter))
        self._tracer = self._provider.get_tracer("tunewright")

    @contextlib.contextmanager
    def request(self, headers: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """A request's span, the child of the caller's where `traceparent` names one. What is put into the mapping it gives
        becomes its attributes, method and route its name."""
        about: dict[str, Any] = {}
        if self._provider is None:
            yield about
            return
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = TraceContextTextMapPropagator().extract({"traceparent": headers.get("traceparent", "")})
        kind = {"kind": SpanKind.SERVER, "record_exception": False, "set_status_on_exception": False}
        with self._tracer.start_as_current_span("request", context=context, **kind) as span:
            try:
                yield about
            finally:
                span.update_name(f"{about.get('http.request.method', '-')} {about.get('http.route', 'none')}")
                span.set_attributes(about)

    @contextlib.contextmanager
    def answer(self, **about: Any) -> Iterator[None]:
        """The span of what a model computes."""
        if self._provider is None:
            yield
            return
        with self._tracer.start_as_current_span("answer", record_exception=False, attributes=about):
            yield

    def close(self) -> None:
        """Send what waits."""
        if self._provider is not None:
            self._provider.shutdown()


def by_environment() -> Traces:
    """Traces to where OTEL_EXPORTER_OTLP_ENDPOINT and its like say. Raises MachineError where a package is missing."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as error:
        raise MachineError(f"--traces needs the package {error.name}: pip install 'tunewright[otel]'.") from None
    return Traces(OTLPSpanExporter())
