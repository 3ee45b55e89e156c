"""The verdict as one plain and exact sentence, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tunewright.core.statistics import least_disagreements

if TYPE_CHECKING:
    from tunewright.stages.verdict import Verdict

METRICS = {  # how a sentence names a metric; by its own name where absent
    "en": {
        "macro_f1": "macro F1",
        "micro_f1": "micro F1",
        "mcc": "MCC",
        "f1": "F1",
        "exact_match": "exact match",
        "mrr": "MRR",
        "ndcg": "nDCG",
        "relation_f1": "F1 of relations",
        "hierarchical_f1": "hierarchical F1",
        "quadratic_weighted_kappa": "quadratic weighted kappa",
        "intent_accuracy": "accuracy of intents",
        "mean": "mean over the tasks",
        "slot_f1": "F1 of slots",
        "spearman": "Spearman correlation",
    },
    "zh": {
        "accuracy": "准确率",
        "macro_f1": "宏平均 F1 ",
        "micro_f1": "微平均 F1 ",
        "mcc": "MCC ",
        "f1": "F1 ",
        "exact_match": "完全匹配率",
        "mrr": "MRR ",
        "ndcg": "nDCG ",
        "relation_f1": "关系 F1 ",
        "hierarchical_f1": "层级 F1 ",
        "quadratic_weighted_kappa": "二次加权 kappa ",
        "intent_accuracy": "意图准确率",
        "mean": "各任务平均值",
        "slot_f1": "槽位 F1 ",
        "spearman": "斯皮尔曼相关系数",
    },
}
PLAIN = ("mcc", "loss", "kappa", "pearson", "spearman", "mae", "rmse")  # metrics that are no share: shown as they are
WORDS: dict[str, Mapping[str, str]] = {
    "en": {
        "better": "Better: {metric} {value} on {rows}, {distance} {baseline} ({interval}).",
        "worse": "Worse: {metric} {value} on {rows}, {distance} {baseline} ({interval}).",
        "no_gain": "No measurable gain: {metric} {value} on {rows}, {distance} {baseline} ({interval}): {reason}.",
        "alone": "No measurable gain: {metric} {value} on {rows}, and no baseline to compare with.",
        "name": "{name}",
        "rows": "{n} sealed test rows",
        "row": "1 sealed test row",
        "above": "{points:.1f} points above",
        "below": "{points:.1f} points below",
        "equal": "equal to",
        "strongest": "the best baseline, {name}",
        "other": "the baseline {name}",
        "interval": "{confidence:.0%} interval {low} to {high}",
        "chance": "the difference may be chance",
        "same": "the two fare alike on every row",
        "few": "the two fare differently on only {apart} of the rows, and at least {least} are needed to tell",
        "uses": " This test split has now been used {uses} times; each use makes a lucky result more likely.",
    },
    "zh": {
        "better": "更好：在{rows}上，{metric}为 {value}，{distance}（{interval}）。",
        "worse": "更差：在{rows}上，{metric}为 {value}，{distance}（{interval}）。",
        "no_gain": "没有可测出的提升：在{rows}上，{metric}为 {value}，{distance}（{interval}），{reason}。",
        "alone": "没有可测出的提升：在{rows}上，{metric}为 {value}，但没有可供比较的基线。",
        "name": " {name} ",
        "rows": " {n} 条封存的测试数据",
        "row": " 1 条封存的测试数据",
        "above": "比{baseline} 高 {points:.1f} 个百分点",
        "below": "比{baseline} 低 {points:.1f} 个百分点",
        "equal": "与{baseline} 持平",
        "strongest": "最强的基线 {name}",
        "other": "基线 {name}",
        "interval": "{confidence:.0%} 置信区间为 {low} 至 {high}",
        "chance": "这一差异可能只是偶然",
        "same": "两者在每条数据上的表现都一样",
        "few": "两者只在 {apart} 条数据上表现不同，至少要 {least} 条才能判断",
        "uses": "这份测试集至今已使用 {uses} 次；用得越多，碰巧得到好结果的可能越大。",
    },
}


def is_share(metric: str) -> bool:
    """Whether a metric lies between 0 and 1, so that percent says it better."""
    return not any(word in metric.lower() for word in PLAIN)


def sentence(verdict: Verdict, language: str) -> str:
    """The verdict in one line of `language` ("en" or "zh"); a second one when the test split was used before."""
    words = WORDS[language]
    facts = {
        "metric": METRICS[language].get(verdict.metric, words["name"].format(name=verdict.metric)),
        "value": _measure(verdict.intervals["tuned"].value, verdict.metric),
        "rows": words["row" if verdict.rows == 1 else "rows"].format(n=verdict.rows),
    }
    kind = "alone" if verdict.against is None else verdict.verdict
    if verdict.against is not None:
        facts |= _comparison(verdict, words)
    again = words["uses"].format(uses=verdict.test_uses) if verdict.test_uses > 1 else ""
    return words[kind].format(**facts) + again


def _comparison(verdict: Verdict, words: Mapping[str, str]) -> dict[str, str]:
    found, least = verdict.difference, least_disagreements(verdict.confidence)
    strongest = min(verdict.differences.values(), key=lambda difference: difference.value)
    baseline = words["strongest" if found.value == strongest.value else "other"].format(name=verdict.against)
    points = round(100 * found.value, 1)
    direction = "above" if points > 0 else "below" if points < 0 else "equal"
    apart = verdict.apart[verdict.against]
    reason = "same" if apart == 0 else "few" if apart < least else "chance"
    return {
        "baseline": baseline,
        "distance": words[direction].format(points=abs(points), baseline=baseline),
        "interval": words["interval"].format(
            confidence=verdict.confidence, low=_points(found.low), high=_points(found.high)
        ),
        "reason": words[reason].format(apart=apart, least=least),
    }


def _measure(value: float, metric: str) -> str:
    """A share in per cent; what is none, as a correlation, as a number."""
    return f"{value:.1%}" if is_share(metric) else f"{value:.3f}"


def _points(share: float) -> str:
    """In points with a sign; with a second digit where the first alone would hide that it is not zero."""
    points = 100 * share
    digits = 1 if points == 0 or abs(points) >= 0.05 else 2
    return f"{round(points, digits) + 0.0:+.{digits}f}"
