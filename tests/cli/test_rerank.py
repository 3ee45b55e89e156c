"""Re-ranking as it is typed: rows made of a run of `matching`, a re-ranker trained on them, and what it is good for."""

import json
import random
import shutil

import pytest

import tunewright
from tunewright.core.recipe_file import from_mapping
from tunewright.core.types import Rejected, label_names
from tunewright.data.dataset import Dataset
from tunewright.testing import materials

THINGS = ("card", "phone", "ticket", "room", "train", "银行卡", "手机", "车票")
SETTINGS = {"epochs": 1, "learning_rate": 2e-3, "precision": "fp32", "threads": 1, "device": "cpu"}


def rows():
    draw, found = random.Random(5), []
    for thing in THINGS:
        for word, other, wrong in (("lost", "missing", "buy a"), ("buy", "purchase", "lost a")):
            for number in range(6):
                query = f"{word} {thing} {draw.choice(('please', 'now', '请'))} {number}"
                found.append({"query": query, "document": f"{other} {thing}", "match": 1})
                if number % 3 == 0:
                    found.append({"query": query, "document": f"{wrong} {thing}", "match": 0})
    draw.shuffle(found)
    return found


def trained(folder, backbone, task, data):
    recipe = {
        "task": task,
        "data": data,
        "model": {"backbone": str(backbone)},
        "train": SETTINGS,
        "evaluate": {"resamples": 200, "baselines": []},
        "predict": {"runtime": "torch"},
    }
    return tunewright.train(from_mapping(recipe), out=folder).run


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_backbone):
    """`faq`, a run that searches; `rows.jsonl`, `test.jsonl` and `more.txt`, its rows, test and corpus."""
    folder = tmp_path_factory.mktemp("rerank")
    every = rows()
    only_no = {"query": "what nothing answers", "document": "missing card", "match": 0}
    materials.write_rows(folder / "rows.jsonl", [*every[:-20], only_no])
    only_test = {"query": "what only the test asks", "document": "what only the test answers", "match": 1}
    materials.write_rows(folder / "test.jsonl", [row for row in every[-20:] if row["match"]] + [only_test])
    (folder / "more.txt").write_text("one document more\nand another one\n")
    trained(
        folder / "faq",
        tiny_backbone,
        {"name": "matching", "match": True, "corpus": str(folder / "more.txt")},
        {"train": str(folder / "rows.jsonl"), "test": str(folder / "test.jsonl")},
    )
    return folder


@pytest.fixture(scope="module")
def reranker(place, tiny_backbone):
    """A run that is trained on what `pairs` makes, as it says."""
    from tunewright.predict.predictor import load
    from tunewright.stages import pairs

    pairs.write(load(place / "faq"), place / "pairs", wrong=2)
    files = {name: str(place / "pairs" / f"{name}.jsonl") for name in ("train", "validation")}
    return trained(
        place / "reranker",
        tiny_backbone,
        "sentence_pair",
        {**files, "split": {"by": "grouped", "column": "text_a"}},
    )


def made(place, name="pairs"):
    return {
        split: [json.loads(line) for line in (place / name / f"{split}.jsonl").read_text("utf-8").splitlines()]
        for split in ("train", "validation")
    }


# ------------------------------------------------------------------------------------------------------- the rows


def test_rows_are_made_of_training_and_validation_queries_alone(place, reranker):
    dataset, found = Dataset.open(place / "faq" / "data"), made(place)
    for split, lines in found.items():
        assert {line["text_a"] for line in lines} == {one.inputs["query"] for one in dataset.splits[split]}
    every = {line["text_b"] for lines in found.values() for line in lines}
    test = {document for one in dataset.splits["test"] for document in one.label}
    assert "what only the test answers" in test - every and "what only the test answers" in dataset.labels
    seen = {d for split in found for one in dataset.splits[split] for d in label_names(one.label)}
    assert every <= seen | {"one document more", "and another one"}


def test_right_documents_are_yes_and_rejected_and_near_ones_are_no(place, reranker):
    dataset, found = Dataset.open(place / "faq" / "data"), made(place)
    examples = dataset.splits["train"].examples()
    right = {(one.inputs["query"], d) for one in examples if isinstance(one.label, tuple) for d in one.label}
    rejected = {(one.inputs["query"], one.label.document) for one in examples if isinstance(one.label, Rejected)}
    said = {"0": set(), "1": set()}
    for line in found["train"]:
        pair = (line["text_a"], line["text_b"])
        assert pair not in said["0"] | said["1"], "each once"
        said[line["label"]].add(pair)
    assert said["1"] == right
    assert rejected <= said["0"] and said["0"] - rejected, "those that are found beside those that rows reject"


def test_the_verb_counts_what_it_writes_and_says_how_to_go_on(place, reranker, command):
    code, out, err = command("pairs", place / "faq", "--out", place / "counted", "--wrong", "2")
    assert (code, out.strip()) == (0, str(place / "counted"))
    assert "train: " in err and "validation: " in err
    assert f"Next: tunewright init {place}/counted/train.jsonl --validation {place}/counted/validation.jsonl" in err
    assert made(place, "counted") == made(place), "the same rows each time"
    found = json.loads(command("pairs", place / "faq", "--out", place / "json", "--wrong", "3", "--json")[1])
    assert found["wrong"] == 3
    lines = made(place, "json")
    for split, own in lines.items():
        counts = found[split]
        assert counts["queries"] == len({line["text_a"] for line in own})
        assert counts["right"] == sum(line["label"] == "1" for line in own)
        assert counts["rejected"] + counts["found"] == sum(line["label"] == "0" for line in own)
    assert found["validation"]["rejected"] == 0, "rows that say no are not in validation"


def test_rows_cannot_be_made_where_the_run_is_not_known_or_nothing_is_searched(place, reranker, command, tmp_path):
    alone = shutil.copytree(place / "faq" / "bundle", tmp_path / "a" / "bundle")
    said = refused(command, "pairs", alone, "--out", tmp_path / "x")
    assert (
        "does not lie in the run that made it, and only that knows which rows are for training. Name the run." in said
    )
    assert "it has no queries and documents" in refused(command, "pairs", reranker, "--out", tmp_path / "x")
    assert "exists already and stays as it is" in refused(command, "pairs", place / "faq", "--out", tmp_path)
    assert not (tmp_path / "x").exists()


# ------------------------------------------------------------------------------------------------------ re-ranking


def test_predict_shows_both_scores_and_by_what_it_was_reranked(place, reranker, command):
    arguments = ("predict", place / "faq", place / "test.jsonl", "--rerank", reranker, "--all-scores", "--json")
    code, out, _ = command(*arguments)
    found = json.loads(out)
    plain = json.loads(command("predict", place / "faq", place / "test.jsonl", "--all-scores", "--json")[1])
    assert code == 0
    changed = sum(
        a["document"] != b["document"] for a, b in zip(found["predictions"], plain["predictions"], strict=True)
    )
    expected = {"by": str(reranker / "bundle"), "label": "1", "depth": 10, "changed": changed}
    assert found["reranked"] == expected and "reranked" not in plain
    for row, search in zip(found["predictions"], plain["predictions"], strict=True):
        assert list(row["scores"].values()) == sorted(row["scores"].values(), reverse=True)
        assert (row["document"], row["score"]) == next(iter(row["scores"].items()))
        assert row["search_scores"] == {document: search["scores"][document] for document in row["scores"]}
        assert row["search_score"] == search["scores"][row["document"]]
        assert list(search["scores"])[row["search_rank"] - 1] == row["document"]


def test_looking_further_still_answers_with_ten(place, reranker, command):
    arguments = ("predict", place / "faq", place / "test.jsonl", "--rerank", reranker, "--rerank-depth", "15")
    found = json.loads(command(*arguments, "--all-scores", "--json")[1])
    assert found["reranked"]["depth"] == 15
    assert all(list(row["search_scores"]) == list(row["scores"]) for row in found["predictions"])
    assert {len(row["scores"]) for row in found["predictions"]} == {10}
    assert max(row["search_rank"] for row in found["predictions"]) <= 15


def test_python_answers_as_the_command_line_does(place, reranker, command):
    model = tunewright.load(place / "faq").reranked(by=reranker, label="1")
    queries = ["lost card please 1", " ", "buy 手机 now 2"]
    found = model.predict(queries)
    assert [one.decision for one in found] == ["model", "error", "model"]
    materials.write_rows(place / "three.jsonl", [{"query": query} for query in queries])
    out = command("predict", place / "faq", place / "three.jsonl", "--rerank", reranker)[1]
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["document"] for line in lines] == [one.value for one in found]
    assert lines[0]["score"] == pytest.approx(found[0].score, abs=1e-5)
    assert lines[1]["search_rank"] is None
    pairs = [{"text_a": queries[0], "text_b": document} for document in found[0].scores]
    expected = [one.scores["1"] for one in tunewright.load(reranker).predict(pairs)]
    assert list(found[0].scores.values()) == pytest.approx(expected, abs=1e-5)


def test_a_table_has_columns_for_what_the_search_says(place, reranker, command):
    code, _, err = command(
        "predict", place / "faq", place / "test.jsonl", "--rerank", reranker, "--out", place / "a.csv"
    )
    head = (place / "a.csv").read_text("utf-8").splitlines()[0]
    assert code == 0 and "document,score,search_score,search_rank,decision,truncated_tokens" in head
    assert "got another document than by the search alone." in err


def test_evaluate_tells_with_and_without_on_the_same_rows(place, reranker, command):
    arguments = ("evaluate", place / "faq", place / "test.jsonl")
    plain = json.loads(command(*arguments, "--json")[1])
    found = json.loads(command(*arguments, "--rerank", reranker, "--json")[1])
    reranked = found["reranked"]
    assert (reranked["by"], reranked["label"], reranked["depth"]) == (str(reranker / "bundle"), "1", 10)
    assert reranked["verdict"] in ("better", "no_gain", "worse")
    assert set(reranked["gains"]) == {"mrr", "ndcg", "recall_at_1", "recall_at_5", "recall_at_10"}
    for name, gain in reranked["gains"].items():
        assert gain["search"] == pytest.approx(plain["metrics"][name])
        difference = gain["difference"]
        assert difference["value"] == pytest.approx(found["metrics"][name] - plain["metrics"][name])
        assert difference["low"] <= difference["value"] <= difference["high"]
    assert reranked["gains"]["recall_at_10"]["difference"]["value"] == 0, "the same ten documents in another order"


@pytest.mark.parametrize(
    ("likes", "verdict", "said"),
    [
        (1.0, "better", "Re-ranking is better than the search alone, by mrr."),
        (0.0, "no_gain", "Re-ranking brings no measurable gain over the search alone, by mrr."),
        (-1.0, "worse", "Re-ranking is worse than the search alone: leave it out, by mrr."),
    ],
)
def test_people_read_plainly_what_reranking_is_worth(place, reranker, command, monkeypatch, likes, verdict, said):
    from tunewright.predict.rerank import Reranker

    right = {row["query"]: row["document"] for row in rows() if row["match"]}

    def judged(self, pairs):
        yield from (likes * (right.get(one.inputs["text_a"]) == one.inputs["text_b"]) for one in pairs)

    monkeypatch.setattr(Reranker, "_judged", judged)
    arguments = ("evaluate", place / "faq", place / "rows.jsonl", "--rerank", reranker)
    code, out, err = command(*arguments)
    assert code == 0 and said in err and "re-ranked by" in err and "search alone" in err
    assert out.startswith("mrr ")
    assert json.loads(command(*arguments, "--json")[1])["reranked"]["verdict"] == verdict


def test_robustness_is_that_of_the_reranked_answers(place, reranker, command):
    found = json.loads(
        command("evaluate", place / "faq", place / "test.jsonl", "--rerank", reranker, "--robustness", "--json")[1]
    )
    assert found["robustness"]["case"]["flips"] == 0, "the backbone lower-cases"


def refused(command, *arguments):
    code, out, err = command(*arguments, "--json")
    assert (code, "Traceback" in err) == (3, False), err
    return json.loads(out)["error"]


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_what_cannot_rerank_is_refused(place, reranker, command, verb):
    start = (verb, place / "faq", place / "test.jsonl")
    assert "There is no bundle nowhere." in refused(command, *start, "--rerank", "nowhere")
    assert "it is for matching, which searches by itself" in refused(command, *start, "--rerank", place / "faq")
    said = refused(command, *start, "--rerank", reranker, "--rerank-label", "yes")
    assert "has no label 'yes'. Its labels: 0, 1." in said
    assert "an answer holds the 10 best" in refused(command, *start, "--rerank", reranker, "--rerank-depth", "3")
    assert "name it with --rerank." in refused(command, *start, "--rerank-label", "1")
    turned = (verb, reranker, place / "pairs" / "train.jsonl", "--rerank", reranker)
    assert "it finds no documents that could be put into another order" in refused(command, *turned)


def test_the_runtime_that_stands_in_for_the_rerankers_own_is_said(place, reranker, command, monkeypatch):
    from tunewright.predict import predictor

    find = predictor.find_runtime
    monkeypatch.setattr(
        predictor, "find_runtime", lambda folder, name: (find(folder, name)[0], f"{folder.parent.name}!")
    )
    _, _, err = command("predict", place / "faq", place / "test.jsonl", "--rerank", reranker)
    assert "faq!" in err and "reranker!" in err
