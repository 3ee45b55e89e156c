"""Questions are answered by stretches of their own context, exact to the character, however long it is."""

import json

import numpy as np
import pytest

from tunewright.core import catalog
from tunewright.core.contracts import Given
from tunewright.core.errors import LabelError
from tunewright.core.types import Answer, Example, Policy
from tunewright.models.processor import Processor
from tunewright.testing.tiny import tiny_backbone

QUESTIONS = catalog.create("tasks", "question_answering")
MAYBE = catalog.create("tasks", {"name": "question_answering", "no_answer": True})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_backbone(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def narrow(folder):
    """Windows of which a long context needs several."""
    return Processor.load(folder, max_tokens=16, stride=6)


def row(question, context, answer=None, task=QUESTIONS):
    return Example("qa.jsonl:1", *task.read({"question": question, "context": context, "answer": answer}))


def sure_of(windows):
    """Logits of a model that knows where the answer stands in every window, or that it does not."""
    return [np.where(window.features["labels"] == 1, 9.0, -9.0) for window in windows]


def decoded(windows, outputs, task=QUESTIONS, policy=None):
    return task.decode(task.join(windows, outputs), windows, (), policy or Policy())


CASES = [
    ("who met", "Anna met Bob", "Anna"),
    ("谁", "  王明　在 北京\n", "北京"),  # spaces of every width around
    ("what", "😀😀 ＡＢＣ公司 is 好", "ＡＢＣ公司"),
    ("what", "e\u0301\u200d\ufe0f\u200b x", "x"),
    ("多少", "共３０８分，第 2 名", "３０８"),
    ("how", "bad " * 30 + "good film " + "bad " * 30, "good film"),
    ("哪里", "今天天气很好" * 9 + "在北京" + "我们去看电影" * 9, "北京"),
    ("Anna or Bob", "Bob", "Bob"),  # the question holds it as well
]


@pytest.mark.parametrize(("question", "context", "answer"), CASES)
def test_an_answer_goes_through_the_model_s_tokens_and_comes_back_by_character(narrow, question, context, answer):
    example = row(question, context, answer)
    windows = QUESTIONS.encode([example], narrow, ())
    found = decoded(windows, sure_of(windows))
    assert found.value == example.label[0]
    assert context[found.value.start : found.value.end] == found.value.text == answer
    assert found.score == pytest.approx(1.0, abs=1e-3)


def test_space_that_a_token_holds_is_no_part_of_an_answer():
    """As pieces of SentencePiece hold it, and as there are pieces of space alone."""
    from tunewright.models.processor import Encoded

    context = " in  北京 \u3000now "
    offsets = np.array([(0, 0), (0, 3), (0, 0), (0, 3), (3, 7), (7, 9), (9, 13), (0, 0)])

    class Pieces:
        def encode(self, questions, contexts):
            second = np.array([False, False, False, True, True, True, True, False])
            return [[Encoded(np.zeros(8, np.int32), np.ones(8, np.int32), None, offsets, second, tokens=5)]]

    windows = QUESTIONS.encode([row("who", context, "北京")], Pieces(), ())
    assert [context[slice(*place)] for place in windows[0].places] == ["in", "北京", "now"]
    assert decoded(windows, sure_of(windows)).value == Answer("北京", 5, 7)


def test_windows_slide_over_the_context_and_each_holds_the_whole_question(narrow):
    question, context = "who met Anna", "the movie was good " * 12
    windows = QUESTIONS.encode([row(question, context, "movie")], narrow, ())
    asked = narrow.encode([question])[0][0].input_ids[1:-1].tolist()
    assert len(windows) > 4
    for window in windows:
        ids = window.features["input_ids"].tolist()
        assert ids[1 : 1 + len(asked)] == asked
        assert window.inside.min() > len(asked)  # answers come from behind the question
    covered = {tuple(place) for window in windows for place in window.places.tolist()}
    assert len(covered) == len(context.split())


def test_labels_mark_the_answer_in_windows_that_hold_it_whole_and_the_first_token_in_others(narrow):
    context = "bad " * 9 + "good film " + "bad " * 9
    windows = QUESTIONS.encode([row("how", context, "good film")], narrow, ())
    holding = 0
    for window in windows:
        labels = window.features["labels"]
        assert labels.shape == (len(window.offsets), 2) and labels.dtype == np.float32
        starts, ends = (np.flatnonzero(labels[:, side] == 1) for side in (0, 1))
        could = np.flatnonzero(labels[:, 0] >= 0)
        assert could.tolist() == [0, *window.inside.tolist()]
        texts = [context[slice(*place)] for place in window.places]
        if {"good", "film"} <= set(texts):
            holding += 1
            assert texts[list(window.inside).index(starts[0])] == "good"
            assert texts[list(window.inside).index(ends[0])] == "film"
        else:
            assert starts.tolist() == ends.tolist() == [0]
    assert 0 < holding < len(windows)


def test_every_right_answer_is_marked_and_an_unlabelled_row_has_no_labels(narrow):
    (window,) = QUESTIONS.encode([row("who", "Anna met Bob", ["Anna", "Bob"])], narrow, ())
    assert np.flatnonzero(window.features["labels"][:, 0] == 1).size == 2
    (window,) = QUESTIONS.encode([row("who", "Anna met Bob")], narrow, ())
    assert "labels" not in window.features


def test_the_likeliest_stretch_of_all_windows_is_taken_and_never_one_of_the_question(narrow):
    context = "bad " * 9 + "good film " + "bad " * 9
    windows = QUESTIONS.encode([row("the movie", context)], narrow, ())
    outputs = [np.zeros((len(window.offsets), 2)) for window in windows]
    for logits in outputs:
        logits[1:3] = 50.0  # all but certain of the question's tokens
    last = windows[-1]
    outputs[-1][last.inside[-2], 0] = outputs[-1][last.inside[-1], 1] = 5.0
    found = decoded(windows, outputs)
    assert (found.value.start, found.value.end) == (len(context) - 8, len(context) - 1)


def test_an_answer_ends_behind_its_start_and_is_no_longer_than_allowed(folder):
    processor = Processor.load(folder)
    words = ["one", "two", "three", "four", "five", "six"]
    (window,) = windows = QUESTIONS.encode([row("x", " ".join(words))], processor, ())
    places = [next(i for i, p in enumerate(window.places) if p[0] == " ".join(words).index(word)) for word in words]
    logits = np.zeros((len(window.offsets), 2))
    logits[window.inside[places[4]], 0] = 8.0  # the start stands behind the end
    logits[window.inside[places[1] - 1 if places[1] else 0], 1] = 8.0
    found = decoded(windows, [logits]).value
    assert found.start < found.end
    tokens = len(window.inside)
    logits = np.zeros((len(window.offsets), 2))
    logits[window.inside[0], 0] = logits[window.inside[-1], 1] = 8.0
    assert decoded(windows, [logits]).value.text == " ".join(words)
    short = catalog.create("tasks", {"name": "question_answering", "longest": tokens - 1})
    assert decoded(windows, [logits], short).value.text != " ".join(words)


def test_answers_begin_and_end_with_words(folder):
    (window,) = windows = QUESTIONS.encode([row("x", "Zyxwv good")], Processor.load(folder), ())
    assert len(window.inside) > 2, "the word has one piece: this shows nothing"
    logits = np.zeros((len(window.offsets), 2))
    logits[window.inside[1], 0] = 3.0  # inside the first word
    logits[window.inside[-1], 1] = 9.0
    assert decoded(windows, [logits]).value.text in ("Zyxwv good", "good")


def test_a_row_without_answer_needs_the_setting():
    with pytest.raises(LabelError, match=r"The row has no answer\. If .* set task: \{name: question_answering, no_ans"):
        row("who", "Anna", [])
    assert row("who", "Anna", [], MAYBE).label == ()


def test_no_answer_is_said_from_the_policy_s_threshold_on(folder):
    (window,) = windows = MAYBE.encode([row("who", "Anna", task=MAYBE)], Processor.load(folder), ())
    logits = np.full((len(window.offsets), 2), -30.0)
    logits[0], logits[window.inside[0], 0], logits[window.inside[-1], 1] = (
        1.0,
        0.5,
        0.5,
    )  # odds e to 1 against an answer
    none = decoded(windows, [logits], MAYBE)
    assert none.value is None and none.score == none.scores["no_answer"] == pytest.approx(np.e / (1 + np.e))
    said = decoded(windows, [logits], MAYBE, Policy({"no_answer": 0.8}))
    assert said.value == Answer("Anna", 0, 4)
    assert said.score == pytest.approx(1 / (1 + np.exp(0.5)) ** 2, rel=1e-6)
    assert decoded(windows, [logits]).value == Answer("Anna", 0, 4)  # a task that always answers


def test_one_window_with_an_answer_is_enough(narrow):
    windows = MAYBE.encode([row("how", "bad " * 9 + "good film " + "bad " * 9, "good film", MAYBE)], narrow, ())
    outputs = sure_of(windows)
    assert len(windows) > 2 and sum((window.features["labels"][0] == 1).all() for window in windows) >= 1
    assert decoded(windows, outputs, MAYBE).value.text == "good film"
    for logits in outputs:
        logits[:] = -9.0
        logits[0] = 9.0
    assert decoded(windows, outputs, MAYBE).value is None


def test_an_empty_context_has_no_answer(folder):
    windows = QUESTIONS.encode([Example("input#0", {"question": "who", "context": " "})], Processor.load(folder), ())
    found = decoded(windows, [np.zeros((len(windows[0].offsets), 2))])
    assert (found.value, found.score) == (None, 1.0)


# Baselines


def given(rows, test, task=QUESTIONS):
    train = [row(*cells, task=task) for cells in rows]
    return Given(task, train, train, [row(*cells, task=task) for cells in test], (), None, 0)


def test_the_best_sentence_shares_the_rare_words_of_the_question():
    context = "The film was good. Anna Lee wrote the book in 1990! The music is bad."
    made = catalog.create("baselines", "best_sentence")
    said = made.predict(given([("what was good", "The film.", "film")], [("who wrote the book", context)]))
    assert said[0].value == Answer("Anna Lee wrote the book in 1990!", 19, 51)
    said = made.predict(given([("什么", "天气。", "天气")], [("谁在北京", "今天很好。王明在北京！我们走")]))
    assert said[0].value.text == "王明在北京！"


def test_the_best_sentence_is_none_where_too_little_is_shared():
    rows = [("who met Anna", "Bob met Anna.", "Bob"), ("what is this", "Rain and sun tomorrow.", [])] * 3
    said = catalog.create("baselines", "best_sentence").predict(
        given(rows, [("where", "Nothing of it."), ("who met Eve", "Tim met Eve.")], MAYBE)
    )
    assert said[0].value is None and said[1].value.text == "Tim met Eve."


def test_near_words_takes_what_stands_beside_the_question_s_words():
    made = catalog.create("baselines", "near_words")
    train = [
        (f"who wrote the book {n}", f"The book they wrote, {n}: Anna{n}. Rain and snow", f"Anna{n}") for n in "abc"
    ]
    test = [("谁 wrote the song", "Rain and rain and snow. The song they wrote: Paula."), ("x", "?!")]
    said = made.predict(given(train, test))
    assert said[0].value == Answer("Paula", 45, 50) and said[1].value is not None


# A whole run

PEOPLE = ("Anna", "Bob", "王明", "李华")
PLACES = ("Paris", "Rome", "北京", "上海")


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """A bundle that has learned where people are, from contexts in both languages, some of which do not tell."""
    from tunewright.core.recipe_file import from_mapping
    from tunewright.engine.local import train

    home = tmp_path_factory.mktemp("qa")
    lines = []
    for number in range(96):
        who, where = PEOPLE[number % 4], PLACES[number // 4 % 4]
        other = "good " * (number % 3) + "film "
        context, question = (
            (f"{other}{who} is in {where}", "where") if number % 2 else (f"{other}{who}在{where}", "哪里")
        )
        answers = [{"text": where, "answer_start": context.index(where)}]
        if number % 6 == 5:
            context, answers = f"{other}{who}", []
        lines.append({"id": number, "question": question, "context": context, "answers": answers})
    lines.append({"id": 96, "question": "who", "context": "Anna", "answers": [{"text": "Eve", "answer_start": 0}]})
    (home / "rows.jsonl").write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "utf-8")
    recipe = {
        "task": {"name": "question_answering", "no_answer": True},
        "data": {"train": str(home / "rows.jsonl"), "leakage": "keep"},
        "model": {"backbone": str(folder)},
        "train": {"epochs": 6, "batch_size": 8, "learning_rate": 5e-3, "threads": 1, "precision": "fp32"},
        "evaluate": {"resamples": 100, "slices": ["length"]},
        "predict": {"runtime": "torch"},
    }
    train(from_mapping(recipe), out=home / "run")
    return home / "run"


def test_a_run_is_judged_against_its_baselines_and_fits_the_threshold_of_no_answer(run):
    report = json.loads((run / "report.json").read_text("utf-8"))
    assert set(report["results"]["baselines"]) == {"best_sentence", "near_words"}
    assert report["verdict"]["metric"] == "f1"
    assert {"exact_match", "f1", "answerable_f1", "no_answer_accuracy"} <= set(report["results"]["tuned"])
    policy = json.loads((run / "bundle" / "decision.json").read_text("utf-8"))
    assert 0 <= policy["thresholds"]["no_answer"] <= 1.1
    assert report["recipe"]["data"]["stride"] == 128  # so that an answer at a window's edge is whole in the next one


def test_a_row_whose_answer_is_not_in_its_context_is_left_out_and_told_with_its_line(run):
    report = json.loads((run / "report.json").read_text("utf-8"))
    (finding,) = [found for found in report["data"]["findings"] if found["kind"] == "broken_rows"]
    assert finding["count"] == 1 and finding["examples"][0].startswith(
        "rows.jsonl:97: An answer says that its text is 'Ev"
    )


def test_check_tells_answers_that_are_not_in_their_context_with_their_lines(run, folder, command, tmp_path):
    rows = [{"question": f"who {n}", "context": f"Anna met Bob {n}", "answers": ["Anna"]} for n in range(40)]
    rows[3]["answers"], rows[8]["answers"] = ["Eve"], [{"text": "Anna", "start": 900}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    recipe = f"task: question_answering\ndata: {{train: rows.jsonl}}\nmodel: {{backbone: '{folder}'}}\n"
    (tmp_path / "recipe.yaml").write_text(recipe)
    code, out, err = command("check", tmp_path / "recipe.yaml", "--json")
    assert code == 0, err
    (finding,) = [found for found in json.loads(out)["findings"] if found["kind"] == "broken_rows"]
    assert finding["count"] == 2
    assert finding["examples"][0].startswith("rows.jsonl:4: The answer 'Eve' does not stand in the context.")
    assert finding["examples"][1].startswith("rows.jsonl:9: An answer goes from character 900 to 904")


def test_the_bundle_tells_nobody_the_texts_of_answers(run):
    reference = (run / "bundle" / "reference.json").read_text("utf-8")
    assert not any(word in reference for word in (*PEOPLE, *PLACES))


def test_predictions_of_a_file_hold_the_answer_and_its_place(run, command, tmp_path):
    rows = [
        {"n": 1, "question": "where", "context": "  😀 Anna is in  Rome"},
        {"n": 2, "question": "哪里", "context": "film 王明在上海", "start": "mine"},
        {"n": 3, "question": "where", "context": ""},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    code, out, err = command("predict", run, tmp_path / "rows.jsonl")
    assert code == 0, err
    said = [json.loads(line) for line in out.splitlines()]
    assert list(said[0])[3:] == ["answer", "start", "end", "score", "decision", "truncated_tokens"]
    for row, answer in zip(rows[:2], said, strict=False):
        if answer["answer"] is not None:
            assert row["context"][answer["start"] : answer["end"]] == answer["answer"]
    assert any(answer["answer"] for answer in said[:2])
    assert said[1]["input_start"] == "mine"
    assert said[2]["decision"] == "error" and "column 'context' is empty" in said[2]["error"]


def test_the_bundle_opens_in_plain_transformers_and_gives_the_same_answer(run):
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    from tunewright.predict.predictor import load

    predictor = load(run)
    question, context = "where", "film Bob is in Paris"
    [item] = predictor.infer([Example("x", {"question": question, "context": context})])
    model = AutoModelForQuestionAnswering.from_pretrained(run / "bundle" / "model").eval()
    tokens = AutoTokenizer.from_pretrained(run / "bundle" / "model")(question, context, return_tensors="pt")
    assert tokens["input_ids"][0].tolist() == item.windows[0].features["input_ids"].tolist()
    with torch.inference_mode():
        plain = model(**tokens)
    theirs = torch.stack([plain.start_logits[0], plain.end_logits[0]], dim=-1).numpy()
    np.testing.assert_allclose(theirs, item.logits, atol=1e-4)


@pytest.mark.parametrize("runtime", ["onnx", "native"])
def test_every_runtime_gives_the_same_answers(run, runtime, tmp_path):
    import shutil

    from tunewright.predict.predictor import load

    made = catalog.create("runtimes", runtime)
    shutil.copytree(run / "bundle" / "model", tmp_path / "model")
    if made.lacks(tmp_path):
        pytest.skip(made.lacks(tmp_path))
    made.prepare(tmp_path)
    predictor = load(run)
    examples = [Example("x", {"question": "where", "context": f"good film {who} is in {where}"}) for who in PEOPLE for where in PLACES]  # fmt: skip
    exact = list(predictor.infer(examples))
    found = made.open(tmp_path)([item.windows[0].features for item in exact])
    for item, logits in zip(exact, found, strict=True):
        assert logits.shape == item.logits.shape
        np.testing.assert_allclose(logits, item.logits, atol=0.1 * np.abs(item.logits).max())


def test_wrong_answers_are_drawn_in_their_context_below_the_question(run):
    report = json.loads((run / "report.json").read_text("utf-8"))
    for error in report["errors"]:
        assert error["before"] in ("where", "哪里")
        said = [answer["text"] for answer in error["predicted"] or ()]
        assert said != [answer["text"] for answer in error["gold"]], "a right answer is among the errors"
        for answer in (*error["gold"], *(error["predicted"] or ())):
            assert error["text"][answer["start"] : answer["end"]] == answer["text"]
