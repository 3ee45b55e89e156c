"""What `text_classification` can be besides one text with one label, from a file to answers."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from tunewright.core import catalog
from tunewright.core.errors import DataError, LabelError, RecipeError
from tunewright.core.recipe_file import from_mapping
from tunewright.core.types import Policy
from tunewright.predict.predictor import load

WORDS = {"card": "card bank lost", "music": "play song music", "weather": "天气 rain cold"}


def written(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def train(tmp_path_factory, tiny_backbone):
    """Function: train(task, rows, **changes) trains on a file of these rows and returns the run's folder."""
    from tunewright.engine.local import train

    def made(task, rows, **changes):
        folder = tmp_path_factory.mktemp("run")
        recipe = {
            "task": {"name": "text_classification", **task},
            "data": {"train": str(written(folder / "rows.jsonl", rows))},
            "model": {"backbone": str(tiny_backbone)},
            "train": {"epochs": 3, "learning_rate": 0.002, "threads": 1, "precision": "fp32"},
            "evaluate": {"baselines": ["majority"], "resamples": 100},
            "predict": {"runtime": "torch"},
            **changes,
        }
        return train(from_mapping(recipe), out=folder / "run").run

    return made


# ------------------------------------------------------------------------------------------------ several columns


BOTH = {"texts": ["title", "body"]}


def titled(count=90):
    """Rows whose label a word of the title tells, or in every third row one of the body."""
    for number in range(count):
        label, words = list(WORDS.items())[number % 3]
        told, other = f"{words.split()[number % 2]} {number}", f"it is good {number}"
        title, body = (other, told) if number % 9 < 3 else (told, other)
        yield {"title": None if number % 9 == 1 else title, "body": body, "label": label}


@pytest.fixture(scope="module")
def titled_run(train):
    return train(BOTH, [*titled(), {"title": " ", "body": None, "label": "card"}])


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ({"title": " Rain ", "body": "a wet day"}, "Rain\na wet day"),
        ({"title": None, "body": "a wet day"}, "a wet day"),
        ({"title": "雨", "body": "  "}, "雨"),
        ({"body": "a wet day"}, "a wet day"),
    ],
)
def test_several_columns_become_one_text_and_an_empty_one_leaves_no_trace(cells, text):
    task = catalog.create("tasks", {"name": "text_classification", **BOTH})
    assert task.read({**cells, "label": "card"}) == ({"text": text}, "card")


@pytest.mark.parametrize("texts", [["title", "title"], ["title", "label"]])
def test_a_column_is_read_once_and_the_label_not_at_all(texts):
    with pytest.raises(RecipeError, match="task: texts names a column twice, or 'label', which is what is predicted"):
        from_mapping({"task": {"name": "text_classification", "texts": texts}, "data": {"train": "rows.csv"}})


def test_a_row_with_one_of_its_texts_is_learned_from_and_one_with_none_is_accounted_for(titled_run):
    report = json.loads((titled_run / "report.json").read_text("utf-8"))
    assert report["data"]["ledger"]["rows"]["train"]["reasons"] == {"empty_text": 1}
    lost = json.loads((titled_run / "ledger.jsonl").read_text("utf-8").splitlines()[0])
    assert (lost["line"], lost["reason"]) == (91, "columns 'title', 'body' are empty")


def test_both_columns_count_and_the_report_shows_both(titled_run):
    predictor = load(titled_run)
    rows = [{"title": "play", "body": "it is good"}, {"title": "it is good", "body": "play"}, {"body": "play"}]
    assert len({prediction.scores["music"] for prediction in predictor.predict(rows)}) == 3
    joined = load(titled_run).predict([{"title": "play\nit is good"}])
    assert joined == predictor.predict(rows[:1])
    with pytest.raises(DataError, match="must be a mapping with title, body; it is 'play'"):
        predictor.predict(["play"])


def test_predict_reads_the_same_columns_and_names_one_that_is_missing(titled_run, tmp_path, command):
    file = written(tmp_path / "new.jsonl", [{"title": "play", "body": ""}, {"title": "", "body": ""}])
    code, out, err = command("predict", titled_run, file)
    assert (code, [json.loads(line)["decision"] for line in out.splitlines()]) == (0, ["model", "error"])
    assert "new.jsonl:2: columns 'title', 'body' are empty" in err
    code, _, err = command("predict", titled_run, written(tmp_path / "less.jsonl", [{"title": "play"}]))
    assert code == 3 and "less.jsonl has no column that could be 'body'" in err and "--column body=NAME" in err


def test_a_column_that_is_not_there_is_named_with_the_nearest(train):
    with pytest.raises(DataError, match=r"no column that could be 'titel'\. Did you mean 'title'\?"):
        train({"texts": ["titel", "body"]}, list(titled(9)))


# ------------------------------------------------------------------------------------------------------- levels


LEVELS = {"levels": "/"}
TREE = catalog.create("tasks", {"name": "text_classification", **LEVELS})
NAMES = ("money/card", "money/rate", "news/rain", "news/sport")


@pytest.mark.parametrize(
    "cell", ["money/card", " money / card ", ["money", "card"], '["money", "card"]', np.array(["money", "card"])]
)
def test_a_label_with_levels_is_the_same_however_it_is_written(cell):
    assert TREE.read({"text": "x", "label": cell})[1] == "money/card"


def test_a_level_without_a_name_and_several_labels_at_once_are_refused():
    with pytest.raises(LabelError, match=r"A level of the label 'money/' has no name\. Levels are joined by '/'"):
        TREE.read({"text": "x", "label": "money/"})
    with pytest.raises(RecipeError, match="multi_label and levels cannot go together: each says what a label is"):
        from_mapping(
            {"task": {"name": "text_classification", "multi_label": True, **LEVELS}, "data": {"train": "rows.csv"}}
        )


def decided(shares, accept):
    return TREE.decode(np.log(shares), (), NAMES, Policy(accept=accept))


def test_an_ancestor_answers_where_the_label_is_not_sure_enough_and_it_is():
    sure = decided([0.5, 0.4, 0.06, 0.04], None)
    assert (sure.decision, sure.given) == ("model", ("money/card", pytest.approx(0.5)))
    assert sure.wider == (("money", pytest.approx(0.9)),)
    parent = decided([0.5, 0.4, 0.06, 0.04], 0.8)
    assert (parent.decision, parent.value, parent.given) == ("parent", "money/card", ("money", pytest.approx(0.9)))
    assert decided([0.5, 0.4, 0.06, 0.04], 0.95).decision == "abstain"
    assert decided([0.5, 0.4, 0.06, 0.04], 0.95).given[0] == "money/card"


@pytest.fixture(scope="module")
def tree_run(train):
    """Which of two labels below a top a row has is a coin's fall; the top is told by a word."""
    words = {"money": "card", "news": "rain"}
    ends = {"money": ("card", "rate"), "news": ("rain", "sport")}
    draw = np.random.default_rng(0)
    rows = [
        {"text": f"{words[top]} {number}", "label": f"{top}/{ends[top][draw.integers(2)]}"}
        for number in range(600)
        for top in words
    ]
    return train(LEVELS, rows, decision={"max_error": 0.1}, train={"epochs": 1, "learning_rate": 0.002, "threads": 1})


def test_where_only_the_top_can_be_told_the_top_is_answered(tree_run, tmp_path, command):
    tops = {"card": "money", "rain": "news"}
    file = written(tmp_path / "new.jsonl", [{"text": f"{word} {n}"} for n in range(20) for word in tops])
    _, out, err = command("predict", tree_run, file)
    parents = [row for row in map(json.loads, out.splitlines()) if row["decision"] == "parent"]
    assert len(parents) > 20 and f"{len(parents)} rows got a parent instead of a whole label" in err
    assert all(row["label"] == tops[row["text"].split()[0]] and row["score"] > 0.9 for row in parents)
    test = json.loads((tree_run / "report.json").read_text("utf-8"))["decision"]["coverage"]["test"]
    assert test["accepted"] == 1.0 and test["error"] <= 0.1 and test["parents"] > 0.5
    assert "of these, a parent instead of the whole label" in (tree_run / "report.md").read_text("utf-8")


def test_every_level_is_measured_and_the_hierarchical_measure_decides(tree_run):
    report = json.loads((tree_run / "report.json").read_text("utf-8"))
    tuned = report["results"]["tuned"]
    assert report["verdict"]["metric"] == "hierarchical_f1"
    assert tuned["level_1_accuracy"] == 1.0 and tuned["level_2_accuracy"] == tuned["accuracy"] < 0.7
    assert tuned["hierarchical_f1"] == pytest.approx((1 + tuned["accuracy"]) / 2)


# ------------------------------------------------------------------------------------------------------ an order


GRADES = ("2", "9", "10")


def graded(count=90, names=GRADES):
    words = ("bad", "good", "great love")
    return [{"text": f"it is {words[n % 3]} {n}", "label": names[n % 3]} for n in range(count)]


def test_numbers_are_ordered_as_numbers_and_the_error_is_counted_in_steps(train):
    run = train({"ordinal": True}, graded(), evaluate={"baselines": ["majority", "tfidf"], "resamples": 100})
    report = json.loads((run / "report.json").read_text("utf-8"))
    assert load(run).labels == GRADES
    assert report["verdict"]["metric"] == "quadratic_weighted_kappa"
    tuned, constant = report["results"]["tuned"], report["results"]["baselines"]["majority"]
    assert 0 <= tuned["mae"] <= 2 and constant["quadratic_weighted_kappa"] == pytest.approx(0.0)
    assert "quadratic weighted kappa" in (run / "report.md").read_text("utf-8")
    assert "mean absolute error" in (run / "report.md").read_text("utf-8")


def test_an_order_of_names_has_to_be_said(train):
    rows = graded(9, ("bad", "fair", "good"))
    with pytest.raises(RecipeError, match=r"labels bad, fair, good are no numbers: say their order.*data\.labels"):
        train({"ordinal": True}, rows)


def test_what_is_said_of_labels_with_an_order_is_the_middle_of_what_is_likely():
    task = catalog.create("tasks", {"name": "text_classification", "ordinal": True})
    found = task.decode(np.log([0.46, 0.1, 0.44]), (), GRADES, Policy())
    assert (found.value, found.score) == ("9", pytest.approx(0.1))
    plain = catalog.create("tasks", "text_classification").decode(np.log([0.46, 0.1, 0.44]), (), GRADES, Policy())
    assert plain.value == "2"


# ------------------------------------------------------------------------------------- columns beside the text


BESIDE = {"numeric": ["price"], "categorical": ["brand"]}


def priced(count=240):
    """Rows whose text says nothing: the brand decides, and of one brand the price."""
    draw = np.random.default_rng(0)
    for number in range(count):
        brand, price = ["Acme", "北方", "Zeta"][number % 3], float(draw.normal(100, 30))
        good = price < 100 if brand == "Zeta" else brand == "Acme"
        cell = None if number % 40 == 7 else price
        yield {"text": f"it is a thing {number}", "brand": brand, "price": cell, "label": "good" if good else "bad"}


@pytest.fixture(scope="module")
def priced_run(train):
    rows = [*priced(), {"text": "dear", "brand": "Acme", "price": "a lot", "label": "bad"}]
    settings = {"epochs": 3, "learning_rate": 0.01, "threads": 1, "precision": "fp32"}
    return train(BESIDE, rows, train=settings, evaluate={"baselines": ["majority", "tfidf", "linear_probe"]})


def test_what_the_columns_say_is_learned_beside_the_text_and_by_the_baselines_too(priced_run):
    results = json.loads((priced_run / "report.json").read_text("utf-8"))["results"]
    assert results["tuned"]["accuracy"] > 0.85
    assert results["baselines"]["tfidf"]["accuracy"] > 0.85 < results["baselines"]["linear_probe"]["accuracy"]


def test_what_the_columns_hold_travels_in_the_bundle(priced_run):
    task = load(priced_run).bundle.task
    assert task.known["brand"] == ("Acme", "Zeta", "北方") and 90 < task.known["price"][0] < 110
    assert "known: {price: [" in (priced_run / "recipe.yaml").read_text("utf-8")


@pytest.mark.parametrize("runtime", ["torch", "onnx", "native"])
def test_every_runtime_gives_the_text_and_the_columns(priced_run, runtime, tmp_path):
    from tunewright.core.bundle import open_bundle
    from tunewright.predict.predictor import Predictor

    bundle = open_bundle(priced_run)
    if missing := catalog.create("runtimes", runtime).lacks(bundle.folder):
        pytest.skip(missing)
    shutil.copytree(bundle.folder, tmp_path / "bundle")
    catalog.create("runtimes", runtime).prepare(tmp_path / "bundle")
    here = dataclasses.replace(bundle, folder=tmp_path / "bundle")
    rows = list(priced(6))
    scores = [
        [p.scores["good"] for p in Predictor(one, name).predict(rows)]
        for one, name in ((bundle, "torch"), (here, runtime))
    ]
    np.testing.assert_allclose(*scores, rtol=0, atol=0.1)  # some compute in 8 bits
    assert max(scores[0]) - min(scores[0]) > 0.5


def test_plain_transformers_lacks_the_columns_and_certificate_and_card_say_so(priced_run):
    certificate = json.loads((priced_run / "bundle" / "certificate.json").read_text("utf-8"))
    assert certificate["passed"] and "once the columns' part is added" in certificate["checks"][0]["why"]["en"]
    card = (priced_run / "bundle" / "README.md").read_text("utf-8")
    assert "beside.safetensors" in card and "pipeline(" not in card and "library_name: tunewright" in card
    assert '{"text": "…", "price": "…", "brand": "…"}' in card


def test_a_missing_number_is_the_mean_and_an_unknown_name_nothing(priced_run):
    predictor, row = load(priced_run), {"text": "it is a thing", "brand": "Zeta", "price": None}
    mean = predictor.bundle.task.known["price"][0]
    beside = predictor.bundle.task.beside
    assert beside.vector({**row, "price": mean})[:2].tolist() == [0.0, 0.0]
    assert beside.vector(row)[:2].tolist() == [0.0, 1.0]
    assert not beside.vector({**row, "brand": "Nova"})[2:].any()
    assert beside.unknown({**row, "brand": "Nova"}) == ["brand"] and beside.unknown({**row, "brand": ""}) == []
    assert predictor.predict([row])[0].decision == "model"


def test_rows_to_answer_need_the_columns_and_what_is_new_in_them_is_counted(priced_run, tmp_path, command):
    rows = [{"text": "a", "brand": "Nova", "price": 3}, {"text": "b", "brand": "Acme", "price": "much"}]
    code, _, err = command("predict", priced_run, written(tmp_path / "new.jsonl", rows))
    assert code == 0 and "1 row held a name in 'brand' that no training row had" in err
    assert "new.jsonl:2: column 'price' holds no number: 'much'" in err
    code, _, err = command(
        "predict", priced_run, written(tmp_path / "less.jsonl", [{"text": "a", "brnd": "x", "price": 1}])
    )
    assert code == 3 and "has no column 'brand', which is read beside the text. Did you mean 'brnd'?" in err
    with pytest.raises(DataError, match=r"Input 0 lacks price, brand, which the model reads beside the text"):
        load(priced_run).predict([{"text": "a"}])


def test_training_rows_that_hold_no_number_are_accounted_for_and_columns_must_be_there(priced_run, train):
    lost = json.loads((priced_run / "ledger.jsonl").read_text("utf-8").splitlines()[0])
    assert (lost["line"], lost["reason"]) == (241, "column 'price' holds no number: 'a lot'")
    with pytest.raises(
        DataError, match=r"has no column 'prise', which is read beside the text\. Did you mean 'price'\?"
    ):
        train({"numeric": ["prise"]}, list(priced(9)))
    with pytest.raises(RecipeError, match="column 'label' is the text or the label already"):
        train({"categorical": ["label"]}, list(priced(9)))
    with pytest.raises(RecipeError, match="numeric and categorical name a column twice: price, price"):
        train({"numeric": ["price"], "categorical": ["price"]}, list(priced(9)))


@pytest.fixture
def fused(tiny_backbone):
    """A model with three numbers of columns beside the text, and windows that hold them."""
    from tunewright.models.model import build_model
    from tunewright.models.processor import Processor

    model = build_model(tiny_backbone, catalog.create("heads", "pooled"), ("bad", "good"), beside=3)
    texts = Processor.load(tiny_backbone).encode(["it is a thing", "天气 rain"])
    draw = np.random.default_rng(0)
    return model, [{**part.features, "beside": draw.normal(size=3).astype(np.float32)} for (part,) in texts]


def test_the_columns_part_is_started_and_calibrated_as_the_rest_of_the_head(fused):
    import torch

    from tunewright.models.inference import outputs, pooled
    from tunewright.stages.judge import Calibrated
    from tunewright.stages.save import fold_calibration

    model, windows = fused
    features = np.concatenate([pooled(model, windows, pad_id=0), [one["beside"] for one in windows]], axis=1)
    weight, bias = np.random.default_rng(1).normal(size=(2, features.shape[1])), np.array([0.5, -0.5])
    model.start_head(torch.from_numpy(weight), torch.from_numpy(bias))
    started = np.stack(outputs(model, windows, pad_id=0))
    np.testing.assert_allclose(started, features @ weight.T + bias, rtol=1e-4, atol=1e-4)
    for scale, shift in ((0.5, 0.0), (np.array([0.5, 2.0]), np.array([1.0, -1.0]))):
        before = np.stack(outputs(model, windows, pad_id=0))
        fold_calibration(model, Calibrated(scale, shift, Policy(), {}))
        after = np.stack(outputs(model, windows, pad_id=0))
        np.testing.assert_allclose(after, before * scale + shift, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", ["transformers", "own"])
def test_the_saved_model_is_the_texts_part_in_either_form(fused, form, tmp_path, monkeypatch):
    from tunewright.models import layout
    from tunewright.models.inference import outputs

    model, windows = fused
    if form == "own":
        monkeypatch.setattr(layout, "plain_form", lambda model, multi_label: None)
    layout.save_model(model, tmp_path, multi_label=False)
    text = [{name: value for name, value in one.items() if name != "beside"} for one in windows]
    saved = outputs(layout.load_model(tmp_path), text, pad_id=0)
    np.testing.assert_allclose(saved, outputs(model, windows, pad_id=0), atol=1e-4)  # the fresh map is zero


def test_init_and_check_know_the_columns(tmp_path, tiny_backbone, command):
    file, recipe = written(tmp_path / "rows.jsonl", list(priced(60))), tmp_path / "recipe.yaml"
    told = ("task.numeric=[price]", "task.categorical=[brand]", f"model.backbone={tiny_backbone}")
    code, out, err = command("init", file, "--out", recipe, *(word for one in told for word in ("--set", one)))
    assert code == 0 and "Read beside the text: 'price', 'brand'." in out + err
    code, out, err = command("check", recipe)
    assert code == 0, out + err
