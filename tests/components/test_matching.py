"""What is special about matching: what its cells mean, which rows are judged, what the search answers."""

import numpy as np
import pytest

from tunewright.core import catalog
from tunewright.core.errors import DataError, LabelError
from tunewright.core.recipe_file import from_mapping
from tunewright.core.types import Example, Policy, Rejected
from tunewright.data.checks import findings
from tunewright.data.guess import guess_task
from tunewright.data.prepare import prepare, prepare_source
from tunewright.testing import materials

TASK, JUDGED = catalog.create("tasks", "matching"), catalog.create("tasks", {"name": "matching", "match": True})


@pytest.mark.parametrize(
    ("cells", "label"),
    [
        ({"document": " an answer "}, ("an answer",)),
        ({"document": ["b", "a", "b", ""]}, ("b", "a")),
        ({"document": np.array(["x", "y"])}, ("x", "y")),
        ({"document": 3.0}, ("3",)),
        ({"document": []}, None),
        ({"document": None}, None),
    ],
)
def test_a_cell_holds_the_document_or_several_that_answer(cells, label):
    assert TASK.read({"query": "q", **cells}) == ({"query": "q"}, label)


@pytest.mark.parametrize("yes", ["1", 1, 1.0, True, "yes", "Y", "是"])
@pytest.mark.parametrize("no", ["0", 0, 0.0, False, "no", "N", "否"])
def test_a_column_says_whether_a_document_answers(yes, no):
    assert JUDGED.read({"query": "q", "document": "d", "match": yes})[1] == ("d",)
    assert JUDGED.read({"query": "q", "document": "d", "match": no})[1] == Rejected("d")
    assert JUDGED.read({"query": "q", "document": "d", "match": ""})[1] is None


def test_a_match_that_is_neither_yes_nor_no_and_several_that_do_not_match_are_refused():
    with pytest.raises(LabelError, match="holds 'perhaps': 1 or 0, yes or no is expected"):
        JUDGED.read({"query": "q", "document": "d", "match": "perhaps"})
    with pytest.raises(LabelError, match="2 documents and says that they do not match: give each a row"):
        JUDGED.read({"query": "q", "document": ["d", "e"], "match": 0})


def test_a_prediction_has_no_key_for_the_column_of_matches():
    assert JUDGED.targets == ("document", "match") and JUDGED.answers == ("document",)


def test_documents_are_encoded_with_their_own_prefix():
    processor = materials.processor(prefix="query: ", document_prefix="passage: ")
    query, document = Example("q", {"query": "film"}), Example("d", {"document": "film"})
    words = [
        processor.tokenizer.decode(TASK.encode([one], processor, ())[0].features["input_ids"].tolist())
        for one in (query, document)
    ]
    assert words[0] != words[1]
    assert processor.documents.prefix == "passage: " and processor.prefix == "query: "
    assert processor.documents.encode(["film"])[0][0].tokens == 1
    plain = materials.processor()
    assert plain.documents is plain


def test_the_document_prefix_is_saved_with_the_processor(tmp_path):
    from tunewright.models.processor import Processor

    processor = materials.processor(prefix="query: ", document_prefix="passage: ")
    processor.save(tmp_path)
    again = Processor.load(tmp_path)
    for mine, saved in ((processor, again), (processor.documents, again.documents)):
        assert mine.encode(["好 film"])[0][0].input_ids.tolist() == saved.encode(["好 film"])[0][0].input_ids.tolist()


# ------------------------------------------------------------------------------------------------------- the data


def prepared(folder, rows, task="matching", **data):
    source = materials.write_rows(folder / "rows.jsonl", rows)
    return prepare(from_mapping({"task": task, "data": {"train": str(source), **data}}), folder / "data")


def pair(number, **cells):
    return {"query": f"query {number}", "document": f"document {number}", **cells}


def test_every_document_is_searched_also_those_that_only_the_test_has(tmp_path):
    test = materials.write_rows(tmp_path / "test.jsonl", [pair(n) for n in range(30, 33)])
    dataset = prepared(tmp_path, [pair(n) for n in range(20)], test=str(test))
    assert dataset.labels == tuple(sorted(f"document {n}" for n in (*range(20), 30, 31, 32)))


def test_further_documents_come_from_a_text_file_or_a_column_and_what_is_lost_is_told(tmp_path):
    (tmp_path / "more.txt").write_text("one more\n\ndocument 3\n")
    materials.write_rows(tmp_path / "more.jsonl", [{"id": 1, "document": "two more"}])
    for name, new in (("more.txt", "one more"), ("more.jsonl", "two more")):
        task = {"name": "matching", "corpus": str(tmp_path / name)}
        dataset = prepared(tmp_path, [pair(n) for n in range(20)], task)
        assert set(dataset.labels) - {f"document {n}" for n in range(20)} == {new}
        told = next(str(note) for note in dataset.notes if name in str(note))
        assert told.startswith("1 document more from ")
        assert (": more.txt:2." in told) == (name == "more.txt")


def test_a_corpus_without_the_column_or_without_documents_is_refused(tmp_path):
    materials.write_rows(tmp_path / "odd.jsonl", [{"id": 1, "name": "x"}])
    (tmp_path / "empty.csv").write_text("id,document\n1,\n")
    for name, said in (
        ("odd.jsonl", "has no column 'document'. Its columns: id, name"),
        ("empty.csv", "holds no document"),
    ):
        with pytest.raises(DataError, match=said):
            prepared(tmp_path, [pair(n) for n in range(20)], {"name": "matching", "corpus": str(tmp_path / name)})


def test_one_document_alone_is_refused(tmp_path):
    with pytest.raises(DataError, match="1 document in all rows, and searching needs several"):
        prepared(tmp_path, [{**pair(n), "document": "the same"} for n in range(20)])


def test_all_documents_that_answer_a_query_are_right_in_each_of_its_rows(tmp_path):
    rows = [pair(n) for n in range(20)] + [{"query": "Query 3!", "document": "another"}]
    dataset = prepared(tmp_path, rows)
    labels = {one.id: one.label for split in dataset.splits.values() for one in split}
    both = [label for label in labels.values() if len(label) == 2]
    # Where both rows are on one side, each has its own document first; where they were parted, train has dropped its row.
    assert sorted(both) in ([], [("another", "document 3"), ("document 3", "another")])
    assert both or len(labels) == 20
    labels = [one.label for one in prepare_source(tmp_path / "rows.jsonl", TASK, tmp_path / "test").splits["test"]]
    assert labels[3] == ("document 3", "another") and labels[-1] == ("another", "document 3")


def test_rows_that_do_not_match_are_learned_from_and_never_judged(tmp_path):
    rows = [pair(n, match=1) for n in range(40)]
    rows += [{"query": f"query {n}", "document": f"wrong {n}", "match": 0} for n in range(40)]
    test = materials.write_rows(tmp_path / "test.jsonl", [pair(90, match="yes"), pair(91, match="no")])
    dataset = prepared(tmp_path, rows, {"name": "matching", "match": True}, test=str(test))
    for name in ("validation", "test"):
        assert all(isinstance(one.label, tuple) for one in dataset.splits[name]), name
    assert any(isinstance(one.label, Rejected) for one in dataset.splits["train"])
    assert {"wrong 7", "document 91"} <= set(dataset.labels)
    assert dataset.ledger["rows"]["test"]["reasons"] == {"no_match": 1}
    judged = {one.inputs["query"] for one in dataset.splits["validation"]}
    assert not judged & {one.inputs["query"] for one in dataset.splits["train"]}  # nor a wrong one of a judged query


def test_a_document_that_answers_and_does_not_is_a_conflict_and_several_answers_are_none(tmp_path):
    rows = [pair(n, match=1) for n in range(20)] + [{"query": "query 4", "document": "more", "match": 1}]
    dataset = prepared(tmp_path, rows, {"name": "matching", "match": True}, leakage="keep")
    assert not [one for one in findings(dataset) if one.kind in ("conflicts", "rare_classes", "imbalance")]
    rows += [{"query": "query 5", "document": "document 5", "match": 0}]
    dataset = prepared(tmp_path, rows, {"name": "matching", "match": True}, leakage="keep")
    found = [one for one in findings(dataset.only("train")) if one.kind == "conflicts"]
    assert not found or all("query 5" in example for example in found[0].examples)
    source = prepare_source(tmp_path / "rows.jsonl", JUDGED, tmp_path / "whole", name="train")
    [conflict] = [one for one in findings(source) if one.kind == "conflicts"]
    assert conflict.count == 2 and "rows.jsonl:6: query 5 → document 5" in conflict.examples


def test_a_document_written_in_two_ways_is_told(tmp_path):
    rows = [pair(n) for n in range(20)] + [{"query": "x", "document": "Document  7!"}]
    [found] = [one for one in findings(prepared(tmp_path, rows)) if one.kind == "label_spelling"]
    assert found.count == 1 and found.examples == ("Document 7! = document 7",)


def test_an_answer_that_the_bundle_does_not_hold_is_refused_in_few_words(tmp_path):
    source = materials.write_rows(tmp_path / "rows.jsonl", [{"query": "q", "document": "long " * 500}])
    with pytest.raises(LabelError, match=r"that the model does not know: 'long long .*first at rows.jsonl:1") as caught:
        prepare_source(source, TASK, tmp_path / "data", labels=tuple(f"{n} " * 500 for n in range(40)))
    assert len(str(caught.value)) < 2500


@pytest.mark.parametrize(
    ("rows", "task"),
    [
        ([{"query": f"q{n}", "document": f"d{n}"} for n in range(9)], "matching"),
        ([{"question": f"q{n}", "answer": f"d{n}", "match": n % 2} for n in range(9)], "matching"),
        ([{"问题": f"问{n}", "答案": f"答{n}"} for n in range(9)], "matching"),
        ([{"question": f"q{n}", "answer": ["yes", "no"][n % 2]} for n in range(9)], "error"),
        ([{"query": f"q{n}", "passage": f"d{n}", "label": n % 2} for n in range(9)], "sentence_pair"),
        ([{"question": f"q{n}", "document": f"d{n}", "topic": "ab"[n % 2]} for n in range(9)], "text_classification"),
    ],
)
def test_matching_is_guessed_where_names_say_so_and_nothing_is_a_label(rows, task):
    try:
        found = guess_task(rows)
    except DataError:
        assert task == "error"
        return
    assert found.name == task or task == "error"
    if task == "matching":
        assert found.settings == ({"match": True} if "match" in rows[0] else {})


# ------------------------------------------------------------------------------------------------------ baselines


@pytest.mark.parametrize("name", ["tfidf_cosine", "untuned"])
def test_baselines_find_documents_in_both_languages(name):
    from tunewright.core.contracts import Given

    documents = ("cats and dogs", "手机 便宜", "slow trains")
    queries = [Example(f"q{n}", {"query": text}) for n, text in enumerate(("a dog", "便宜的手机", "the slow train"))]

    def embed(examples):
        texts = [" ".join(one.inputs.values()) for one in examples]
        return (
            np.array([[sum(mark in text for mark in group) for group in ("dc", "手机", "st")] for text in texts]) + 0.1
        )

    given = Given(TASK, (), (), queries, documents, embed, 13)
    said = catalog.create("baselines", name).predict(given)
    if name == "tfidf_cosine":
        assert [one.value for one in said] == list(documents)
    assert all(set(one.scores) == set(documents) for one in said)


def test_decoding_abstains_below_what_the_policy_accepts():
    assert TASK.decode(np.zeros(4), (), tuple("abcd"), Policy(accept=0.5)).decision == "abstain"
