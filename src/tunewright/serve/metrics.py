"""What Prometheus may ask of a server: counts and times, never a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from tunewright.core.types import Prediction, label_names
from tunewright.serve.trial import Pair, Trial
from tunewright.serve.watch import Alarm, Watched

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SCORES = tuple(n / 20 for n in range(1, 21))
MOST_LABELS = 200  # that are counted by name; the others are "other"

OUTCOMES = ("agreed", "flipped", "failed", "busy")  # of a row that a version on trial got
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Counters of one server. Their labels are routes as declared, names of models, and labels that a bundle knows."""

    def __init__(self, shared: bool = False) -> None:
        """shared: this is one of several workers, whose counts are added up (in the folder that prometheus_client's
        PROMETHEUS_MULTIPROC_DIR names): whichever is asked gives the sums."""
        self._registry = CollectorRegistry()
        self._shared = shared
        self._depths: Callable[[], Mapping[str, int]] = dict
        new = {"registry": self._registry, "namespace": "tunewright"}
        self._requests = Histogram(
            "request_seconds", "From the first byte to the last.", ("method", "route", "status"), buckets=SECONDS, **new
        )
        self._batches = Histogram("batch_size", "Inputs computed together.", ("model",), buckets=SIZES, **new)
        self._answers = Counter("answers", "Labels in answers.", ("model", "label"), **new)
        self._decisions = Counter("decisions", "Answers by decision.", ("model", "decision"), **new)
        self._scores = Histogram("confidence", "Scores of answers.", ("model",), buckets=SCORES, **new)
        self._trial_rows = Counter(
            "trial_rows", "Rows that a version on trial got.", ("model", "trial", "outcome"), **new
        )
        self._trial_scores = Histogram(
            "trial_score_difference", "How far scores lie apart.", ("model", "trial"), buckets=SCORES, **new
        )
        self._trial_shift = Counter(
            "trial_score_shift", "How far scores moved, by way.", ("model", "trial", "way"), **new
        )
        self._trial_seconds = Histogram(
            "trial_seconds", "Of both versions.", ("model", "trial", "version"), buckets=SECONDS, **new
        )
        self._masked = Counter("masked", "Personal numbers and addresses masked.", ("model", "kind"), **new)
        self._queue = Gauge("queue_depth", "Requests that wait.", ("model",), multiprocess_mode="livesum", **new)
        self._refused = Counter("refused", "Requests answered with an error.", ("code",), **new)
        self._computed = Histogram(
            "answer_seconds", "From a request's place in the queue to its answers.", ("model",), buckets=SECONDS, **new
        )
        self._alarms = Counter("alarms", "Looks at which a signal was not as usual.", ("model", "signal"), **new)
        self._alerts = Counter("alerts", "Alerts that were to be sent.", ("channel", "outcome"), **new)

    def watch(self, depths: Callable[[], Mapping[str, int]]) -> None:
        """Ask `depths` for the queue of every model whenever the metrics are read."""
        self._depths = depths

    def _waiting(self) -> None:
        for model, depth in self._depths().items():
            self._queue.labels(model).set(depth)

    def watch_answers(self, watched: Callable[[], Iterable[Watched]]) -> None:
        """Ask `watched` for what is seen of the answers of every open version whenever the metrics are read."""
        self._registry.register(_Seen(watched))

    def alarm(self, alarm: Alarm) -> None:
        """Answers are not as usual."""
        for check in alarm.look.gate.failed:
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
        if self._shared:  # another worker may be the one that is asked
            self._waiting()

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

    def masked(self, model: str, counts: Mapping[str, int]) -> None:
        """So many of each kind were masked in a text."""
        for kind, count in counts.items():
            self._masked.labels(model, kind).inc(count)

    def compared(self, model: str, trial: Trial, found: Sequence[Pair], seconds: tuple[float, float]) -> None:
        """Rows were answered by the version in place and the one on trial, in so many seconds each."""
        for pair in found:
            self._trial_rows.labels(model, trial.id, "agreed" if pair.agrees else "flipped").inc()
            self._trial_scores.labels(model, trial.id).observe(abs(pair.difference))
            self._trial_shift.labels(model, trial.id, "up" if pair.difference > 0 else "down").inc(abs(pair.difference))
        for which, own in zip(("current", "trial"), seconds, strict=True):
            self._trial_seconds.labels(model, trial.id, which).observe(own)

    def not_compared(self, model: str, trial: Trial, outcome: str, rows: int) -> None:
        """Rows that went to the version on trial and could not be compared: it "failed", or one of the two was "busy"."""
        self._trial_rows.labels(model, trial.id, outcome).inc(rows)

    def comparison(self, trial: Trial) -> dict[str, Any]:
        """What was measured of a trial, as an admin reads it; None where there is nothing to divide by."""
        found: dict[tuple[str, str], float] = {}
        for family in self._collected():
            for sample in family.samples:
                if sample.labels.get("trial") == trial.id and "le" not in sample.labels:
                    rest = next(
                        (sample.labels[name] for name in ("outcome", "version", "way") if name in sample.labels), ""
                    )
                    found[sample.name.removeprefix("tunewright_trial_"), rest] = sample.value

        def mean(total: float, count: float) -> float | None:
            return round(total / count, 6) if count else None

        rows = {outcome: int(found.get(("rows_total", outcome), 0)) for outcome in OUTCOMES}
        compared = rows["agreed"] + rows["flipped"]
        shift = found.get(("score_shift_total", "up"), 0.0) - found.get(("score_shift_total", "down"), 0.0)
        seconds = {
            which: mean(found.get(("seconds_sum", which), 0.0), found.get(("seconds_count", which), 0.0))
            for which in ("current", "trial")
        }
        return {
            "compared": compared,
            **rows,
            "agreement": mean(rows["agreed"], compared),
            "mean_score_difference": mean(shift, compared),
            "mean_absolute_score_difference": mean(found.get(("score_difference_sum", ""), 0.0), compared),
            "mean_seconds": seconds,
        }

    def _collected(self) -> Iterable[Metric]:
        return self._whole().collect()

    def totals(self, model: str) -> dict[str, Any]:
        """What a model has been asked and has said since the server was started: decisions and labels, each with its number,
        and for each upper bound of seconds how many requests were answered within it."""
        return {
            "decisions": self._counts("decisions_total", model, "decision"),
            "given": self._counts("answers_total", model, "label"),
            "seconds": self._counts("answer_seconds_bucket", model, "le"),
            "confidence": self._counts("confidence_bucket", model, "le"),
        }

    def _counts(self, name: str, model: str, by: str) -> dict[str, float]:
        """The values of one model's series by another of their labels."""
        samples = [sample for family in self._collected() for sample in family.samples]
        return {
            sample.labels[by]: sample.value
            for sample in samples
            if sample.name == f"tunewright_{name}" and sample.labels.get("model") == model
        }

    def text(self) -> bytes:
        """All of it, in Prometheus's text form."""
        self._waiting()
        return generate_latest(self._whole())

    def _whole(self) -> CollectorRegistry:
        if not self._shared:
            return self._registry
        added = CollectorRegistry()
        MultiProcessCollector(added)
        return added


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
        holds = GaugeMetricFamily(
            "tunewright_estimate_holds", "1, or 0 where texts are of another kind than usual.", labels=of
        )
        usual = GaugeMetricFamily("tunewright_usual_accuracy", "Share of right answers when measured.", labels=of)
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
            _, look = one.looks[-1]
            limit.add_metric(own, look.limit)
            for name, value in look.tests.items():
                p.add_metric((*own, name), value)
            for name, drift in look.to_dict()["signals"].items():
                distance.add_metric((*own, name), drift["distance"])
            if look.estimate is not None:
                accuracy.add_metric(own, look.estimate.value)
                holds.add_metric(own, not look.doubts)
        yield from (p, limit, distance, accuracy, holds, usual, rows, skipped)
