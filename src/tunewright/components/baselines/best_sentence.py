"""Answer with the sentence of the context that shares most with the question, rare words counting more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tunewright.core import answers, lexical
from tunewright.core.contracts import Baseline, Given, Task
from tunewright.core.policy import fit_threshold
from tunewright.core.types import Answer, Example, Prediction


@dataclass(frozen=True)
class BestSentence(Baseline):
    """The score is the share of the question's words, by their rarity, that stand in it. Where rows may have no answer,
    none is given below the share that is best on validation."""

    def suits(self, task: Task) -> bool:
        """See Baseline.suits: tasks whose answers stand in a context."""
        return isinstance(task.measures, answers.AnswerMeasures)

    def predict(self, given: Given) -> list[Prediction]:
        """See Baseline.predict."""
        texts = dict.fromkeys(str(text) for example in given.train for text in example.inputs.values())
        rare = lexical.rarity(texts)
        found = [_best(example, rare) for example in given.test]
        if not given.task.thresholds or not given.validation:
            return found
        measures, shown = given.task.measures, [(example, _best(example, rare)) for example in given.validation]
        least = fit_threshold(
            [1 - said.score for _, said in shown],
            yes=[measures.quality(example.label, Prediction(None, 1.0)) for example, _ in shown],
            no=[measures.quality(example.label, said) for example, said in shown],
        )
        return [Prediction(None, 1 - said.score) if 1 - said.score >= least else said for said in found]


def _best(example: Example, rare: Mapping[str, float]) -> Prediction:
    question, context = (str(example.inputs[role]) for role in ("question", "context"))
    unknown = max(rare.values(), default=1.0)
    weights = {unit: rare.get(unit, unknown) for unit in lexical.units(question)}
    best = Prediction(None, 0.0)
    for start, end in lexical.sentences(context):
        shared = sum(weights[unit] for unit in weights.keys() & set(lexical.units(context[start:end])))
        score = shared / sum(weights.values()) if weights else 0.0
        if best.value is None or score > best.score:
            best = Prediction(Answer(context[start:end], start, end), score)
    return best
