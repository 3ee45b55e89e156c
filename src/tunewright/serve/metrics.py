"""What Prometheus may ask of a server: counts and times, never a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from tunewright.core.types import Prediction, label_names
from tunewright.serve.watch import Alarm, Watched

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
        self._computed = Histogram(
            "answer_seconds", "From a request's place in the queue to its answers.", ("model",), buckets=SECONDS, **new
        )
        self._alarms = Counter("alarms", "Looks at which a signal was not as usual.", ("model", "signal"), **new)
        self._alerts = Counter("alerts", "Alerts that were to be sent.", ("channel", "outcome"), **new)

    def watch(self, depths: Callable[[], Mapping[str, int]]) -> None:
        """Ask `depths` for the queue of every model whenever the metrics are read."""
        self._registry.register(_Depths(depths))

    def watch_answers(self, watched: Callable[[], Iterable[Watched]]) -> None:
        """Ask `watched` for what is seen of the answers of every open version whenever the metrics are read."""
        self._registry.register(_Seen(watched))

    def alarm(self, alarm: Alarm) -> None:
        """Answers are not as usual."""
        for check in alarm.gate.failed:
            self._alarms.labels(alarm.model, check.name).inc()

    def alert(self, channel: str, outcome: str) -> None:
        """An alert was sent, could not be, or was dropped."""
        self._alerts.labels(channel, outcome).inc()

    def computed(self, model: str, seconds: float) -> None:
        """A request's answers took so long, waiting included."""
        self._computed.labels(model).observe(seconds)

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

    def totals(self, model: str) -> dict[str, Any]:
        """What a model has been asked and has said since the server was started: decisions and labels, each with its number,
        and for each upper bound of seconds how many requests were answered within it."""
        return {
            "decisions": _counts(self._decisions, model, "decision"),
            "given": _counts(self._answers, model, "label"),
            "seconds": _counts(self._computed, model, "le", "_bucket"),
            "confidence": _counts(self._scores, model, "le", "_bucket"),
        }

    def text(self) -> bytes:
        """All of it, in Prometheus's text form."""
        return generate_latest(self._registry)


def _counts(metric: MetricWrapperBase, model: str, by: str, ending: str = "_total") -> dict[str, float]:
    """The values of one model's series by another of their labels."""
    samples = [sample for family in metric.collect() for sample in family.samples]
    return {
        sample.labels[by]: sample.value
        for sample in samples
        if sample.labels.get("model") == model and sample.name.endswith(ending)
    }


class _Depths(Collector):
    def __init__(self, depths: Callable[[], Mapping[str, int]]) -> None:
        self._depths = depths

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily("tunewright_queue_depth", "Requests that wait.", labels=("model",))
        for model, depth in self._depths().items():
            family.add_metric((model,), depth)
        yield family


class _Seen(Collector):
    """What is seen of answers, of open versions alone: however often models are exchanged, there are few."""

    def __init__(self, watched: Callable[[], Iterable[Watched]]) -> None:
        self._watched = watched

    def collect(self) -> Iterator[Metric]:
        of, signal = ("model", "version"), ("model", "version", "signal")
        p = GaugeMetricFamily("tunewright_drift_p", "p-value of the newest look: answers are as usual.", labels=signal)
        limit = GaugeMetricFamily("tunewright_drift_limit", "The p-value below which an alarm is raised.", labels=of)
        distance = GaugeMetricFamily(
            "tunewright_drift_distance", "How far answers are from usual, 0 to 1.", labels=signal
        )
        accuracy = GaugeMetricFamily("tunewright_estimated_accuracy", "Share of right answers, from scores.", labels=of)
        usual = GaugeMetricFamily("tunewright_usual_accuracy", "Share of right answers on validation.", labels=of)
        rows = CounterMetricFamily("tunewright_watched", "Answers that were looked at.", labels=of)
        skipped = CounterMetricFamily("tunewright_unwatched", "Answers that nobody had time to look at.", labels=of)
        for one in self._watched():
            own = (one.name, one.version)
            rows.add_metric(own, one.rows)
            skipped.add_metric(own, one.skipped)
            if one.usual.accuracy is not None:
                usual.add_metric(own, one.usual.accuracy["accuracy"])
            if not one.looks:
                continue
            _, look, _, bound = one.looks[-1]
            limit.add_metric(own, bound)
            for name, value in look.tests.items():
                p.add_metric((*own, name), value)
            for name, drift in look.to_dict()["signals"].items():
                distance.add_metric((*own, name), drift["distance"])
            if look.estimate is not None:
                accuracy.add_metric(own, look.estimate.value)
        yield from (p, limit, distance, accuracy, usual, rows, skipped)
