"""Entities and relations through the model's tokens and back; their objective; their baseline."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tunewright.core import catalog, graphs
from tunewright.core.contracts import Given
from tunewright.core.errors import LabelError, RecipeError
from tunewright.core.types import Example, Graph, Policy, label_names
from tunewright.models.processor import Processor
from tunewright.stages.fit import Validation, automatic_rate
from tunewright.testing.tiny import tiny_backbone

TASK = catalog.create("tasks", {"name": "triples", "rank": 2})
OBJECTIVE = catalog.create("objectives", "entities_and_relations")
LABELS = ("->met", "->owns", "firm", "person")
TAGS = 5
CASES = [
    ("Anna owns Acme", [[0, 4, "person"], [10, 14, "firm"]], [(0, "owns", 1)]),
    ("👩🏽‍💻 met 王明。 é!", [[0, 4, "person"], [9, 11, "person"]], [(1, "met", 0)]),
    ("王明和李红在北京", [[0, 2, "person"], [3, 5, "person"], [6, 8, "firm"]], [(0, "met", 1), (2, "owns", 0)]),
    (["😀", "Bob's", "shop"], [[1, 2, "person"], [2, 3, "firm"]], [(0, "owns", 1), (1, "met", 0)]),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_backbone(tmp_path_factory.mktemp("tiny"))


def row(text, entities, relations, place="row 1"):
    told = [{"head": head, "tail": tail, "relation": name} for head, name, tail in relations]
    return Example(place, *TASK.read({"text": text, "entities": entities, "triples": told}))


def saying(windows, sure=6.0):
    """Outputs of windows that say what their labels do: each entity is alike to itself as head and as tail of what holds."""
    found = []
    for window in windows:
        labels = torch.from_numpy(window.features["labels"])[None]
        shape = (1, len(window.offsets), len(TASK.outputs(LABELS)))
        logits = torch.randn(*shape, generator=torch.Generator().manual_seed(1)).requires_grad_(True)
        optimizer = torch.optim.Adam([logits], lr=0.3)
        for _ in range(80):
            optimizer.zero_grad()
            OBJECTIVE.loss(logits, labels, None).sum().backward()
            optimizer.step()
        found.append(logits.detach()[0].numpy())
    return found


@pytest.mark.parametrize(("text", "entities", "relations"), CASES)
def test_a_graph_goes_through_the_model_s_tokens_and_comes_back(folder, text, entities, relations):
    example = row(text, entities, relations)
    windows = TASK.encode([example], Processor.load(folder), LABELS)
    found = TASK.decode(TASK.join(windows, saying(windows)), windows, LABELS, Policy())
    assert found.value == example.label
    assert 0 < found.score <= min(one.score for one in (*found.value.entities, *found.value.triples))


def test_outputs_are_the_tags_and_then_numbers_of_each_relation_to_the_right_and_to_the_left():
    names = TASK.outputs(LABELS)
    assert names[:TAGS] == ("O", "B-firm", "I-firm", "B-person", "I-person")
    assert names[TAGS : TAGS + 8] == (*(f"-> met {n}" for n in range(7)), "-> owns 0")
    assert names[-1] == "<- owns 6" and len(names) == len(set(names)) == TAGS + 2 * 2 * 7


def test_a_window_s_labels_list_the_entities_and_relations_that_are_whole_in_it(folder):
    text = "Anna met Eve . x x x x x x Bob owns it"
    example = row(text, [[0, 4, "person"], [9, 12, "person"], [27, 30, "person"]], [(0, "met", 1), (2, "owns", 1)])
    windows = TASK.encode([example], Processor.load(folder, max_tokens=12, stride=2), LABELS)
    assert len(windows) > 1
    first, *others = (window.features["labels"] for window in windows)
    pieces = [int(row[graphs.LAST] - row[graphs.FIRST]) + 1 for row in first if row[graphs.FIRST] >= 0]
    assert (
        first[0, graphs.FIRST] == 1 and len(pieces) == 2 and sum(pieces) > 2
    )  # a word of several pieces is one entity
    assert first[0, [graphs.HEAD, graphs.TAIL, graphs.NAME]].tolist() == [0, 1, 0]
    assert (first[1, graphs.HEAD], first[0, graphs.TAGS], first[0, graphs.RELATIONS]) == (-100, TAGS, 2)
    assert all((own[:, graphs.NAME] < 0).all() for own in others)  # no window holds Bob and Eve
    found = TASK.decode(TASK.join(windows, saying(windows)), windows, LABELS, Policy())
    assert found.value.entities == example.label.entities
    assert [(one.head, one.relation) for one in found.value.triples] == [(example.label.entities[0], "met")]


def test_a_pair_in_two_windows_is_judged_where_it_is_farthest_from_an_edge(folder):
    text = "a b c d e f g h"
    example = row(text, [[8, 9, "person"], [10, 11, "person"]], [(0, "met", 1)])  # e and f
    windows = TASK.encode([example], Processor.load(folder, max_tokens=8, stride=5), LABELS)
    assert [window.units.number.tolist() for window in windows] == [[0, 1, 2, 3, 4, 5], [3, 4, 5, 6, 7]]
    logits = saying(windows)
    logits[0][:, TAGS:] = 0.0  # here the second one stands at the edge
    assert TASK.decode(TASK.join(windows, logits), windows, LABELS, Policy()).value == example.label
    logits = saying(windows)
    logits[1][:, TAGS:] = 0.0
    unsure = TASK.decode(TASK.join(windows, logits), windows, LABELS, Policy())
    assert unsure.value.triples == () and unsure.score == pytest.approx(1 / 3)  # none and two relations are alike


def test_an_entity_that_a_window_cuts_is_no_end_of_a_pair_there(folder):
    example = row("a b c d e f g h", [[0, 1, "person"], [8, 13, "firm"]], [(0, "owns", 1)])  # a, and e to g
    windows = TASK.encode([example], Processor.load(folder, max_tokens=8, stride=5), LABELS)
    assert [window.units.number.tolist() for window in windows] == [[0, 1, 2, 3, 4, 5], [3, 4, 5, 6, 7]]
    listed = [window.features["labels"][:, [graphs.FIRST, graphs.LAST]].tolist()[:2] for window in windows]
    assert listed == [[[1, 1], [-100, -100]], [[2, 4], [-100, -100]]]


def test_more_relations_than_tokens_are_all_learned(folder):
    text, letters = "a b c d", range(4)
    entities = [[2 * index, 2 * index + 1, "person"] for index in letters]
    relations = [(head, "met", tail) for head, tail in itertools.permutations(letters, 2)]
    (window,) = windows = TASK.encode([row(text, entities, relations)], Processor.load(folder), LABELS)
    assert len(window.features["labels"]) == 12 > len(window.offsets)
    assert len(TASK.decode(saying(windows)[0], windows, LABELS, Policy()).value.triples) == 12


def test_the_loss_on_validation_takes_rows_of_as_many_tokens_and_more_relations_than_those(folder):
    entities = [[2 * index, 2 * index + 1, "person"] for index in range(4)]
    every = [(head, "met", tail) for head, tail in itertools.permutations(range(4), 2)]
    examples = [row("a b c d", entities, relations) for relations in (every, [])]
    windows = TASK.encode(examples, Processor.load(folder), LABELS)
    shape = (len(windows[0].offsets), len(TASK.outputs(LABELS)))
    items = [SimpleNamespace(windows=[window], logits=np.zeros(shape, dtype=np.float32)) for window in windows]
    judge = Validation(SimpleNamespace(objective=OBJECTIVE), None, (), "cpu")
    assert judge._loss(items) == pytest.approx(np.log(5) + np.log(3))  # five tags, and two relations or none


def test_without_relations_only_tags_are_learned_and_answered(folder):
    example = Example("row 1", *TASK.read({"text": "Anna met Eve", "entities": [[0, 4, "person"]]}))
    (window,) = windows = TASK.encode([example], Processor.load(folder), ("person",))
    assert TASK.outputs(("person",)) == ("O", "B-person", "I-person")
    logits = torch.zeros(1, len(window.offsets), 3, requires_grad=True)
    OBJECTIVE.loss(logits, torch.from_numpy(window.features["labels"])[None], None).sum().backward()
    assert logits.grad.abs().sum() > 0
    assert TASK.decode(np.zeros((len(window.offsets), 3)), windows, ("person",), Policy()).value == Graph()


def test_below_what_the_policy_accepts_it_abstains_and_an_unknown_relation_is_named_with_its_row(folder):
    example = row(*CASES[0], place="train.jsonl:9")
    windows = TASK.encode([example], Processor.load(folder), LABELS)
    assert (
        TASK.decode(TASK.join(windows, saying(windows)), windows, LABELS, Policy(accept=0.9999)).decision == "abstain"
    )
    with pytest.raises(LabelError, match=r"train\.jsonl:9: label '->owns' is not among the labels ->met"):
        TASK.encode([example], Processor.load(folder), ("->met", "firm", "person"))


# The objective


SIZE = 2 + 2 * 2 * graphs.width(2)
ENTITIES = np.array([[0, 1], [3, 3]])


def made():
    return torch.randn(1, 4, SIZE, generator=torch.Generator().manual_seed(0))


def labelled():
    """One text of four tokens, two tags, two entities (tokens 0 to 1, and 3) and one of two relations between them."""
    labels = torch.full((1, 4, graphs.COLUMNS), -100)
    labels[0, :, graphs.TAG] = torch.tensor([0, -100, -100, 1])
    labels[0, :2, [graphs.FIRST, graphs.LAST]] = torch.from_numpy(ENTITIES)
    labels[0, 0, [graphs.HEAD, graphs.TAIL, graphs.NAME]] = torch.tensor([0, 1, 1])
    labels[0, :, graphs.TAGS], labels[0, :, graphs.RELATIONS] = 2, 2
    return labels


def test_the_loss_is_that_of_the_tags_and_of_every_pair_as_the_answer_scores_it():
    logits = made()
    tags = -torch.log_softmax(logits[0, [0, 3], :2], dim=-1)[[0, 1], [0, 1]].mean()
    scores = torch.from_numpy(graphs.pair_scores(logits[0, :, 2:].double().numpy(), ENTITIES, 2))
    logs = torch.log_softmax(scores, dim=-1)
    pairs = -(logs[0, 1, 2] + logs[1, 0, 0]) / 2
    for weight in (1.0, 3.0):
        objective = catalog.create("objectives", {"name": "entities_and_relations", "relation_weight": weight})
        expected = tags + weight * pairs.float()
        torch.testing.assert_close(objective.loss(logits, labelled(), None), expected[None])


def test_its_gradient_is_that_of_differences():
    logits = made().requires_grad_(True)
    OBJECTIVE.loss(logits, labelled(), None).sum().backward()
    generator = np.random.default_rng(0)
    for _ in range(5):
        way = torch.from_numpy(generator.normal(size=logits.shape)).float()
        with torch.no_grad():
            ahead, behind = (float(OBJECTIVE.loss(logits + step * way, labelled(), None)) for step in (1e-2, -1e-2))
        assert (ahead - behind) / 2e-2 == pytest.approx(float((logits.grad * way).sum()), rel=1e-2, abs=1e-3)


def test_at_outputs_of_zero_there_is_a_slope_so_that_learning_begins():
    logits = torch.zeros(1, 4, SIZE, requires_grad=True)
    OBJECTIVE.loss(logits, labelled(), None).sum().backward()
    _, _, a, _, _, b, _ = logits.grad[0, :, 2:].reshape(4, 4, 7).unbind(dim=-1)
    assert bool((a[:2] != 0).all()) and bool((b[3] != 0).all())


def test_padding_changes_no_loss():
    logits = made()
    longer = torch.nn.functional.pad(logits, (0, 0, 0, 2), value=9.0)
    padded = torch.nn.functional.pad(labelled(), (0, 0, 0, 4), value=-100)
    torch.testing.assert_close(OBJECTIVE.loss(longer, padded, None), OBJECTIVE.loss(logits, labelled(), None))


@pytest.mark.parametrize("labels", [torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 3, 3, dtype=torch.long)])
def test_other_labels_are_refused(labels):
    with pytest.raises(ValueError, match="eight columns"):
        OBJECTIVE.loss(torch.zeros(1, 3, SIZE), labels, None)


def test_its_automatic_learning_rate_is_what_it_asks_for_unless_the_method_asks_for_more():
    def rate(method):
        given = SimpleNamespace(task=TASK, train=SimpleNamespace(method=SimpleNamespace(rate=method)))
        facts = SimpleNamespace(facts=SimpleNamespace(learning_rate=1e-4))
        return automatic_rate(SimpleNamespace(recipe=given, located=facts), 384)

    assert (rate(1.0), rate(20.0)) == (pytest.approx(3e-4), pytest.approx(2e-3))


def test_it_cannot_be_one_of_several_tasks():
    with pytest.raises(RecipeError, match=r"facts \(triples\) cannot be one of several tasks"):
        catalog.create("tasks", {"name": "several", "tasks": {"facts": "triples", "mood": "text_classification"}})


# The baseline


def told(line, text, relation=None):
    """A row with a person before and a firm behind, related as said."""
    words = text.split(" ")
    last = len(text) - len(words[-1])
    entities = [[0, len(words[0]), "person"], [last, len(text), "firm"]]
    return row(text, entities, [(0, relation, 1)] if relation else [], f"a:{line}")


def test_known_entities_are_related_by_the_words_between_or_else_by_their_types():
    train = [told(n, f"Anna{n} owns Acme{n}", "owns") for n in range(3)]
    train += [told(n, f"Bob{n} met {'a ' * n}Bank{n}", "met") for n in range(4)]
    train += [told(n, f"Eve{n} not at Bank{n}") for n in range(3)]
    asked = ["Anna0 owns Bank1", "Anna0 met in all Bank1", "Anna0 not at Acme1", "Bank1 Anna0", "nobody owns nothing"]
    test = [Example(f"b:{n}", {"text": text}) for n, text in enumerate(asked)]
    labels = tuple(sorted({name for one in train for name in label_names(one.label)}))

    def said(**settings):
        baseline = catalog.create("baselines", {"name": "known_pairs", **settings})
        found = baseline.predict(Given(TASK, train, train, test, labels, None, 0))
        return [[(one.relation, round(one.score, 2)) for one in each.value.triples] for each in found]

    # Between person and firm, next to each other: 3 of 10 are "owns" and 4 "met".
    assert said(least_share=0.0) == [[("owns", 1.0)], [("met", 0.4)], [], [], []]
    assert said(least_share=0.5) == [[("owns", 1.0)], [], [], [], []]
    assert catalog.create("baselines", "known_pairs").suits(TASK)
    assert not catalog.create("baselines", "known_pairs").suits(catalog.create("tasks", "token_classification"))
    assert not catalog.create("baselines", "dictionary").suits(TASK)
