"""What Prometheus may ask of a server: counts and times, never a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tunewright.core.types import Prediction, label_names

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SCORES = tuple(n / 20 for n in range(1, 21))
MOST_LABELS = 200  # that are counted by name; the others are "other"

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Counters of one server. Their labels are routes as declared, names of models, and labels that a bundle knows."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        new = {"registry": self._registry, "namespace": "tunewright"}
        self._requests = Histogram(
            "request_seconds", "From the first byte to the last.", ("method", "route", "status"), buckets=SECONDS, **new
        )
        self._batches = Histogram("batch_size", "Inputs computed together.", ("model",), buckets=SIZES, **new)
        self._answers = Counter("answers", "Labels in answers.", ("model", "label"), **new)
        self._decisions = Counter("decisions", "Answers by decision.", ("model", "decision"), **new)
        self._scores = Histogram("confidence", "Scores of answers.", ("model",), buckets=SCORES, **new)
        self._refused = Counter("refused", "Requests answered with an error.", ("code",), **new)

    def watch(self, depths: Callable[[], Mapping[str, int]]) -> None:
        """Ask `depths` for the queue of every model whenever the metrics are read."""
        self._registry.register(_Depths(depths))

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request is done."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def batch(self, model: str, inputs: int) -> None:
        """A model computes so many inputs together."""
        self._batches.labels(model).observe(inputs)

    def refused(self, code: str) -> None:
        """A request was answered with an error of this code."""
        self._refused.labels(code).inc()

    def answered(self, model: str, predictions: Sequence[Prediction], counted: frozenset[str], broken: int) -> None:
        """Answers were given; `counted`: labels that have a counter of their own; broken: inputs without an answer."""
        for prediction in predictions:
            value, score = prediction.given
            self._decisions.labels(model, prediction.decision).inc()
            self._scores.labels(model).observe(score)
            for label in label_names(value):
                self._answers.labels(model, label if label in counted else "other").inc()
        if broken:
            self._decisions.labels(model, "error").inc(broken)

    def text(self) -> bytes:
        """All of it, in Prometheus's text form."""
        return generate_latest(self._registry)


class _Depths(Collector):
    def __init__(self, depths: Callable[[], Mapping[str, int]]) -> None:
        self._depths = depths

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily("tunewright_queue_depth", "Requests that wait.", labels=("model",))
        for model, depth in self._depths().items():
            family.add_metric((model,), depth)
        yield family
