"""Every component keeps its contract; new ones are picked up by themselves, and broken ones fail."""

from __future__ import annotations

import pytest

from tunewright.core import catalog
from tunewright.core.errors import MachineError, RecipeError
from tunewright.testing import cases, pretend_installed
from tunewright.testing.conformance import checks

SLOW = ("a_whole_run_trains_it", "its_folder_opens_and_understands_its_languages")


def _marked(case):
    return pytest.param(case, marks=pytest.mark.slow) if case.check.__name__ in SLOW else case


@pytest.mark.parametrize("case", [_marked(case) for case in cases()], ids=str)
def test_every_component_keeps_its_contract(case, tmp_path):
    try:
        case.run(tmp_path)
    except MachineError as missing:
        if "pip install" not in str(missing):
            raise
        pytest.skip(str(missing))


# ------------------------------------------------------------------------------------- plug-ins join by themselves

BITFIT = '''
"""Train biases and the head alone (BitFit, Ben Zaken et al. 2022)."""

from dataclasses import dataclass
from typing import ClassVar

from tunewright.core.contracts import Method


@dataclass(frozen=True)
class BitFit(Method):
    """A twentieth of a percent of the weights."""

    rate: ClassVar[float] = 10.0
    norms: bool = True  # train the biases of norms too

    def apply(self, model):
        """See Method.apply."""
        for name, value in model.named_parameters():
            value.requires_grad_(name.startswith("head.") or (name.endswith("bias") and (self.norms or "Norm" not in name)))
        return model
'''


def test_a_plug_in_of_another_package_is_found_and_held_to_the_contract(tmp_path):
    with pretend_installed(tmp_path / "site", "methods", "bit-fit", BITFIT):
        assert "bit_fit" in catalog.names("methods")
        assert catalog.find("methods", "bit-fit") is catalog.find("methods", "bit_fit")
        found = cases("methods", "bit_fit")
        assert {case.check for case in found} == set(checks("methods"))
        assert {str(case) for case in found} <= {str(case) for case in cases()}
        for number, case in enumerate(found):
            folder = tmp_path / str(number)
            folder.mkdir()
            case.run(folder)
    assert "bit_fit" not in catalog.names("methods")


HEADER = '''
"""A plug-in that breaks one promise."""

from dataclasses import dataclass

import numpy as np

from tunewright.core.contracts import *
from tunewright.core.types import *

'''

# Kind, what breaks the promise, and the check that says so.
BROKEN = {
    "a mutable class": (
        "schedules",
        "class Broken(Schedule):\n    def factor(self, step, steps): return 1.0",
        "it_is_a_frozen_dataclass_of_its_contract",
    ),
    "a method that is missing": (
        "readers",
        "@dataclass(frozen=True)\nclass Broken(Reader):\n    def recognises(self, source): return False",
        "it_is_a_frozen_dataclass_of_its_contract",
    ),
    "a silent setting": (
        "schedules",
        "@dataclass(frozen=True)\nclass Broken(Schedule):\n    warmup: float = 0.1\n"
        "    def factor(self, step, steps): return 1.0",
        "its_settings_have_a_type_a_default_and_a_reason",
    ),
    "a default of another type": (
        "schedules",
        "@dataclass(frozen=True)\nclass Broken(Schedule):\n    warmup: float = 'much'  # share of the steps\n"
        "    def factor(self, step, steps): return 1.0",
        "its_settings_have_a_type_a_default_and_a_reason",
    ),
    "a heavy import": (
        "schedules",
        "import sklearn\n@dataclass(frozen=True)\nclass Broken(Schedule):\n    def factor(self, step, steps): return 1.0",
        "its_file_imports_nothing_heavy_at_its_top",
    ),
    "a start of another size": (
        "starts",
        "@dataclass(frozen=True)\nclass Broken(Start):\n    def head(self, given):\n"
        "        return np.zeros((2, 3), np.float32), np.zeros(2, np.float32)",
        "its_head_fits_the_model_and_is_the_same_every_time",
    ),
    "a start that says the same to all": (
        "starts",
        "@dataclass(frozen=True)\nclass Broken(Start):\n    def head(self, given):\n"
        "        width = given.features(given.train).shape[1]\n        outputs = len(given.task.outputs(given.labels))\n"
        "        return np.zeros((outputs, width), np.float32), np.zeros(outputs, np.float32)",
        "its_head_tells_apart_what_the_features_tell_apart",
    ),
    "a start that hides its steps": (
        "starts",
        "@dataclass(frozen=True)\nclass Broken(Start):\n    def head(self, given):\n        given.gather(7, [])\n        return None",
        "its_steps_are_counted",
    ),
    "a rate above the recipe's": (
        "schedules",
        "@dataclass(frozen=True)\nclass Broken(Schedule):\n    def factor(self, step, steps): return 1 + step / steps",
        "the_factor_stays_between_0_and_1",
    ),
    "an average that remembers the start": (
        "averages",
        "@dataclass(frozen=True)\nclass Broken(Averaging):\n    def share(self, step, steps): return 0.1",
        "the_weights_before_the_first_step_do_not_count",
    ),
    "rows that are adopted blindly": (
        "semi_supervision",
        "@dataclass(frozen=True)\nclass Broken(SemiSupervision):\n    adopts = True\n"
        "    def adopt(self, scored): return Adopted(np.arange(len(scored.unlabelled)), {})",
        "what_it_adopts_are_places_of_rows",
    ),
    "a consistency that punishes the same answer": (
        "semi_supervision",
        "@dataclass(frozen=True)\nclass Broken(SemiSupervision):\n    copies = (8, 'typo')\n"
        "    def consistency(self, said, changed, multi_label): return changed.square().sum(dim=1)",
        "its_loss_is_finite_and_reaches_the_copies_alone",
    ),
    "a memory": (
        "schedules",
        "seen = []\n@dataclass(frozen=True)\nclass Broken(Schedule):\n"
        "    def factor(self, step, steps):\n        seen.append(step)\n        return 1 / len(seen)",
        "it_is_a_function_of_the_step_alone",
    ),
    "a backbone that moves unasked": (
        "methods",
        "@dataclass(frozen=True)\nclass Broken(Method):\n    def apply(self, model):\n"
        "        model.requires_grad_(False)\n        model.head.requires_grad_(True)\n"
        "        embed = model.backbone.get_input_embeddings()\n"
        "        embed.register_forward_hook(lambda m, i, o: (m.weight.data.mul_(1.01), None)[1])\n        return model",
        "only_what_it_says_trains",
    ),
    "an adapter that is not at rest": (
        "methods",
        "@dataclass(frozen=True)\nclass Broken(Method):\n    def apply(self, model):\n"
        "        model.backbone.get_input_embeddings().weight.data.mul_(2)\n        return model",
        "it_starts_where_the_backbone_stands",
    ),
    "a step that counts its calls": (
        "methods",
        "@dataclass(frozen=True)\nclass Broken(Method):\n    def apply(self, model): return model\n"
        "    def at(self, model, step, steps): model.head.output.bias.data.add_(0.01)",
        "coming_to_a_step_again_changes_nothing",
    ),
    "a merge that is another network": (
        "methods",
        "@dataclass(frozen=True)\nclass Broken(Method):\n    def apply(self, model): return model\n"
        "    def merge(self, model):\n        model.head.output.bias.data.add_(0.01)\n        return model",
        "merging_changes_no_answer_and_leaves_no_trace",
    ),
    "a loss of the whole batch": (
        "objectives",
        "@dataclass(frozen=True)\nclass Broken(Objective):\n    def loss(self, logits, labels, class_weights):\n"
        "        from torch.nn.functional import cross_entropy\n        return cross_entropy(logits, labels)",
        "each_example_has_its_own_loss",
    ),
    "a joint loss that looks at right documents alone": (
        "objectives",
        "@dataclass(frozen=True)\nclass Broken(Objective):\n    joint = True\n"
        "    def loss(self, logits, labels, class_weights):\n        queries = logits[: len(labels)]\n"
        "        return (queries - logits[len(labels) :][(labels == 1).int().argmax(dim=1)]).square().sum(dim=1)",
        "a_joint_one_sees_the_whole_step",
    ),
    "a loss without class weights": (
        "objectives",
        "@dataclass(frozen=True)\nclass Broken(Objective):\n    def loss(self, logits, labels, class_weights):\n"
        "        from torch.nn.functional import cross_entropy\n"
        "        return cross_entropy(logits, labels, reduction='none')",
        "class_weights_count",
    ),
    "a divergence in one direction": (
        "objectives",
        "@dataclass(frozen=True)\nclass Broken(Objective):\n    def loss(self, logits, labels, class_weights):\n"
        "        from torch.nn.functional import cross_entropy\n"
        "        return cross_entropy(logits, labels, class_weights, reduction='none')\n"
        "    def divergence(self, first, second, labels):\n        p, q = first.softmax(-1), second.softmax(-1)\n"
        "        return (p * (p / q).log()).sum(-1)",
        "two_answers_are_apart_the_same_both_ways",
    ),
    "a regulariser that leaves its mark": (
        "regularisers",
        "@dataclass(frozen=True)\nclass Broken(Regulariser):\n    def attach(self, model, objective):\n"
        "        def wrap(compute, batch):\n            words = model.backbone.get_input_embeddings()\n"
        "            words.register_forward_hook(lambda m, i, o: o * 1.1)\n            return compute()\n"
        "        return wrap",
        "it_leaves_the_network_as_it_was",
    ),
    "a regulariser that gives one loss for all rows": (
        "regularisers",
        "@dataclass(frozen=True)\nclass Broken(Regulariser):\n    def attach(self, model, objective):\n"
        "        def wrap(compute, batch):\n            done = compute()\n"
        "            return Pass(done.logits, done.losses.mean())\n        return wrap",
        "every_row_has_a_finite_loss",
    ),
    "a regulariser with chance of its own": (
        "regularisers",
        "@dataclass(frozen=True)\nclass Broken(Regulariser):\n    def attach(self, model, objective):\n"
        "        draw = np.random.default_rng(0)\n        def wrap(compute, batch):\n            done = compute()\n"
        "            return Pass(done.logits, done.losses * draw.random())\n        return wrap",
        "one_seed_gives_the_same_losses",
    ),
    "a regulariser that goes round the one before it": (
        "regularisers",
        "@dataclass(frozen=True)\nclass Broken(Regulariser):\n    def attach(self, model, objective):\n"
        "        def wrap(compute, batch):\n            first = compute()\n"
        "            again = objective.loss(model(batch), batch['labels'], None)\n"
        "            return Pass(first.logits, first.losses + again)\n        return wrap",
        "it_stands_around_others",
    ),
    "a regulariser that cuts off the gradients": (
        "regularisers",
        "@dataclass(frozen=True)\nclass Broken(Regulariser):\n    def attach(self, model, objective):\n"
        "        def wrap(compute, batch):\n            done = compute()\n"
        "            own = model.head.output.weight.sum()\n"
        "            return Pass(done.logits, done.losses.detach() * own)\n        return wrap",
        "gradients_reach_what_trains",
    ),
    "an optimizer with one rate for all": (
        "optimizers",
        "@dataclass(frozen=True)\nclass Broken(Optimizer):\n    def build(self, groups):\n        import torch\n"
        "        return torch.optim.SGD([p for g in groups for p in g['params']], lr=0.1)",
        "each_group_keeps_its_own_learning_rate",
    ),
    "a state that no checkpoint holds": (
        "optimizers",
        "def make():\n    import torch\n    class Odd(torch.optim.SGD):\n        calls = 0\n"
        "        def step(self, closure=None):\n            self.calls += 1\n"
        "            for g in self.param_groups:\n                for p in g['params']:\n"
        "                    if p.grad is not None: p.grad.mul_(1 / self.calls)\n"
        "            return super().step(closure)\n    return Odd\n"
        "@dataclass(frozen=True)\nclass Broken(Optimizer):\n    def build(self, groups): return make()(groups, lr=0.1)",
        "its_state_comes_back_from_a_checkpoint",
    ),
    "a calibrator the wrong way round": (
        "calibrators",
        "@dataclass(frozen=True)\nclass Broken(Calibrator):\n    def fit(self, logits, gold, multi_label):\n"
        "        return np.asarray(3.0), np.zeros(())",
        "scores_mean_more_than_before",
    ),
    "a baseline that looks at test": (
        "baselines",
        "@dataclass(frozen=True)\nclass Broken(Baseline):\n"
        "    def predict(self, given):\n        labels, test = given.labels, given.test\n"
        "        return [Prediction(labels[len(test) % 2], 0.5, dict.fromkeys(labels, 0.5)) for _ in test]",
        "the_same_rows_give_the_same_answers",
    ),
    "a tracker that forgets": (
        "trackers",
        "@dataclass(frozen=True)\nclass Broken(Tracker):\n    def start(self, run, settings): pass\n"
        "    def log(self, step, values): pass\n    def finish(self): pass",
        "it_writes_what_it_is_given",
    ),
    "a runtime that mixes up the order": (
        "runtimes",
        "@dataclass(frozen=True)\nclass Broken(Runtime):\n    def open(self, bundle):\n"
        "        from tunewright.core import catalog\n        run = catalog.create('runtimes', 'torch').open(bundle)\n"
        "        return lambda windows: run(windows)[::-1]",
        "it_gives_what_was_evaluated",
    ),
    "an augmenter that edits what is fixed": (
        "augmenters",
        "from tunewright.core.edits import Edit\n@dataclass(frozen=True)\nclass Broken(Augmenter):\n"
        "    def open(self): return lambda passages: [[Edit(0, len(p.text), p.text + '!')] for p in passages]",
        "what_is_fixed_stays",
    ),
    "a head that sees padding": (
        "heads",
        "@dataclass(frozen=True)\nclass Broken(Head):\n    transformers_class = 'AutoModelForSequenceClassification'\n"
        "    def build(self, hidden_size, outputs):\n        from tunewright.models.heads import PooledHead\n"
        "        class Odd(PooledHead):\n            def features(self, hidden, mask): return hidden.mean(dim=1)\n"
        "        return Odd(hidden_size, outputs)",
        "padding_changes_nothing",
    ),
    "a signal that keeps texts": (
        "signals",
        "@dataclass(frozen=True)\nclass Broken(Signal):\n    title = Note('texts', '文本')\n"
        "    def learn(self, usual): return {'texts': list(usual.texts)}\n"
        "    def sketch(self, traffic, usual): return np.array([sum(t in usual['texts'] for t in traffic.texts)])\n"
        "    def compare(self, usual, sketch, rows):\n        from tunewright.core.drift import Drift\n"
        "        return Drift(float(sketch[0] > 0 or rows < 300), 0.0)",
        "what_is_usual_is_plain_data_without_text",
    ),
    "a signal that sees change everywhere": (
        "signals",
        "@dataclass(frozen=True)\nclass Broken(Signal):\n    title = Note('rows', '行')\n"
        "    def learn(self, usual): return {}\n"
        "    def sketch(self, traffic, usual): return np.array([float(len(traffic))])\n"
        "    def compare(self, usual, sketch, rows):\n        from tunewright.core.drift import Drift\n"
        "        return Drift(0.0, 1.0)",
        "rows_like_the_usual_ones_are_seldom_called_different",
    ),
    "a reader without places": (
        "readers",
        "def sample(folder):\n    (folder / 'a.two').write_text('one,a\\ntwo,b\\n')\n    return folder / 'a.two'\n"
        "@dataclass(frozen=True)\nclass Broken(Reader):\n    suffixes = ('.two',)\n"
        "    def recognises(self, source): return source.endswith('.two') and __import__('os').path.exists(source)\n"
        "    def read(self, source):\n        for line in open(source):\n"
        "            yield Row(1, dict(zip(('text', 'label'), line.strip().split(','))))\n"
        "    def describe(self, source): return {'columns': ['text', 'label']}",
        "every_row_has_its_place_and_its_values",
    ),
    "a task that loses tokens": (
        "tasks",
        "import dataclasses\nfrom tunewright.core import catalog\n\n"
        "@dataclass(frozen=True)\nclass Broken(Task):\n    inputs = ('text',)\n    target = 'label'\n    head = 'pooled'\n"
        "    objective = 'cross_entropy'\n    metric = 'accuracy'\n"
        "    @property\n    def _of(self): return catalog.create('tasks', 'text_classification')\n"
        "    def read(self, cells): return self._of.read(cells)\n"
        "    def encode(self, *given): return self._of.encode(*given)\n"
        "    def join(self, *given): return self._of.join(*given)\n"
        "    measures = property(lambda self: self._of.measures)\n"
        "    def decode(self, *given): return dataclasses.replace(self._of.decode(*given), truncated_tokens=0)",
        "cut_tokens_are_counted",
    ),
    "a task whose claims are as likely as they like": (
        "tasks",
        "from tunewright.core.contracts import Claims\nfrom tunewright.components.tasks import token_classification as own\n\n"
        "class Odd(Claims):\n    def of(self, prediction): return own.units.SpanClaims().of(prediction)\n"
        "    def chances(self, claims, *given): return [0.123] * len(claims)\n"
        "@dataclass(frozen=True)\nclass Broken(own.TokenClassification):\n    claims = Odd()",
        "each_claim_is_as_likely_as_the_answer_says",
    ),
    "a pass that says it is exact and is not": (
        "passes",
        "@dataclass(frozen=True)\nclass Broken(CompressionPass):\n    exact = True\n"
        "    def apply(self, given, evidence):\n        given.model.head.output.bias.data.add_(0.1)\n        return given",
        "an_exact_one_changes_no_answer",
    ),
    "a pass with chance of its own": (
        "passes",
        "@dataclass(frozen=True)\nclass Broken(CompressionPass):\n    def apply(self, given, evidence):\n"
        "        import torch\n        given.model.head.output.weight.data.add_(torch.rand(()))\n        return given",
        "one_seed_gives_the_same_network",
    ),
    "a pass whose network is none": (
        "passes",
        "@dataclass(frozen=True)\nclass Broken(CompressionPass):\n    def apply(self, given, evidence):\n"
        "        given.model.head.output.weight.data.div_(0)\n        return given",
        "its_network_is_whole",
    ),
    "a backbone of unknown origin": (
        "backbones",
        "@dataclass(frozen=True)\nclass Broken(Backbone):\n    facts = BackboneFacts((), 'unknown', 'somewhere')\n"
        "    def folder(self): raise NotImplementedError",
        "its_facts_are_complete",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_component_fails_the_check_that_guards_its_promise(tmp_path, what):
    kind, source, guard = BROKEN[what]
    with pretend_installed(tmp_path / "site", kind, "broken", HEADER + source):
        (case,) = [case for case in cases(kind, "broken") if case.check.__name__ == guard]
        (tmp_path / "empty").mkdir()
        with pytest.raises((AssertionError, RecipeError)):
            case.run(tmp_path / "empty")


def test_every_kind_has_checks_of_its_own_and_a_broken_example():
    for kind in catalog.KINDS:
        own = set(checks(kind)) - set(checks("none of the kinds"))
        assert own, f"tunewright/testing/kinds/{kind}.py is missing"
        assert all(check.__doc__ for check in own)
        assert kind in {broken[0] for broken in BROKEN.values()}


# -------------------------------------------------------------------- the contracts carry more than labels of texts

ENGLISH = [(name, place) for name in ("john", "mary", "wang") for place in ("paris", "london", "rome")]
TAGS = ["B-PER", "O", "O", "B-LOC", "I-LOC"]
CHINESE_TAGS = ["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "O", "O"]


def _sentences():
    for number in range(5):
        for name, place in ENGLISH:
            filler = [str(number)] * number
            yield [*[name, "likes", "the", place, "hotel"], *filler], [*TAGS, *["O"] * number]
            yield [*"小明在北京喝水", *filler], [*CHINESE_TAGS, *["O"] * number]


CRF = {"name": "token_classification", "crf": True}


@pytest.mark.slow
@pytest.mark.parametrize(("task", "runtime"), [("token_classification", "auto"), (CRF, "native")], ids=["tags", "crf"])
def test_a_token_level_task_trains_on_conll_columns_in_english_and_chinese(tmp_path, task, runtime):
    from tunewright.core.recipe_file import from_mapping
    from tunewright.core.types import Span
    from tunewright.engine.local import train
    from tunewright.predict.predictor import load
    from tunewright.testing.materials import backbone

    told = ["\n".join(f"{word}\t{tag}" for word, tag in zip(*both, strict=True)) for both in _sentences()]
    (tmp_path / "tagged.conll").write_text("\n\n".join(told) + "\n", encoding="utf-8")
    recipe = from_mapping(
        {
            "task": task,
            "data": {"train": str(tmp_path / "tagged.conll"), "leakage": "keep"},
            "model": {"backbone": str(backbone())},
            "train": {"epochs": 4, "batch_size": 8, "precision": "fp32", "threads": 1},
            "predict": {"runtime": runtime},
            "evaluate": {"baselines": [], "resamples": 100},
        }
    )
    outcome = train(recipe, out=tmp_path / "run")
    assert outcome.metrics["f1"] > 0.9
    predictor = load(outcome.bundle)
    english, chinese, nothing = predictor.predict(
        ["mary likes the rome hotel", {"text": list("小明在北京喝水")}, {"text": ""}]
    )
    assert {(span.start, span.end, span.label) for span in english.value} == {(0, 4, "PER"), (15, 25, "LOC")}
    assert {(span.start, span.end, span.label) for span in chinese.value} == {(0, 2, "PER"), (3, 5, "LOC")}
    assert all(isinstance(span, Span) for span in english.value)
    assert (nothing.value, nothing.decision) == (None, "error")


@pytest.mark.slow
def test_numbers_for_pairs_train_from_a_table_to_a_bundle(tmp_path):
    import csv
    import json
    import random

    from transformers import AutoModelForSequenceClassification

    from tunewright.core.recipe_file import from_mapping
    from tunewright.engine.local import train
    from tunewright.predict.predictor import load
    from tunewright.testing.materials import backbone

    draw, words = random.Random(0), ["good", "bad", "film", "店", "书", "music"]
    with open(tmp_path / "pairs.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text_a", "text_b", "score"])
        for _ in range(90):
            one, other = draw.choices(words, k=3), draw.choices(words, k=3)
            table.writerow([" ".join(one), " ".join(other), 10 + 2.5 * (one[0] == "good") + other.count("bad")])
    recipe = from_mapping(
        {
            "task": {"name": "sentence_pair", "regression": True},
            "data": {"train": str(tmp_path / "pairs.csv"), "columns": {"label": "score"}, "leakage": "keep"},
            "model": {"backbone": str(backbone())},
            "train": {"epochs": 4, "batch_size": 8, "learning_rate": 2e-3, "precision": "fp32", "threads": 1},
            "evaluate": {"resamples": 200, "slices": ["length"]},
            "predict": {"runtime": "torch"},
        }
    )
    outcome = train(recipe, out=tmp_path / "run")
    assert outcome.metrics["spearman"] > 0.5 and set(outcome.baselines) == {"overlap", "cosine", "linear_probe"}
    report = json.loads((tmp_path / "run/report.json").read_text("utf-8"))
    off = [abs(error["gold"] - error["predicted"]) for error in report["errors"]]
    assert off == sorted(off, reverse=True) and len(off) > 5  # the worst come first
    assert all(check["passed"] for check in report["certificate"]["checks"]) and report["certificate"]["checks"]
    high, low = load(outcome.bundle).predict(
        [{"text_a": "good good film", "text_b": "bad bad bad"}, {"text_a": "book", "text_b": "book"}]
    )
    assert high.value > low.value > 5
    plain = AutoModelForSequenceClassification.from_pretrained(outcome.bundle / "model")
    assert (plain.config.problem_type, plain.config.num_labels) == ("regression", 1)


def test_without_a_word_in_the_recipe_a_task_has_its_own_baselines(tmp_path):
    from tunewright.core.recipe_file import from_mapping
    from tunewright.data.prepare import prepare
    from tunewright.stages import assemble
    from tunewright.testing.materials import backbone

    told = ["\n".join(f"{word}\t{tag}" for word, tag in zip(*both, strict=True)) for both in _sentences()]
    (tmp_path / "tagged.conll").write_text("\n\n".join(told) + "\n", encoding="utf-8")
    given = {"task": "token_classification", "data": {"train": str(tmp_path / "tagged.conll"), "leakage": "keep"}}
    recipe = from_mapping({**given, "model": {"backbone": str(backbone())}})
    decided = assemble.plan(recipe, prepare(recipe, tmp_path / "data"))
    assert [catalog.name_of(baseline) for baseline in decided.recipe.evaluate.baselines] == ["dictionary"]
    assert "evaluate.baselines" not in decided.whys
    weighed = from_mapping({**given, "model": {"backbone": str(backbone())}, "train": {"class_weights": "balanced"}})
    with pytest.raises(RecipeError, match="token_classification are no labels of a row here, and have no classes"):
        assemble.plan(weighed, prepare(weighed, tmp_path / "data"))
