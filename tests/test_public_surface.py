"""What `import tunewright` promises: these names and no others, without loading anything heavy."""

import dataclasses
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tunewright

# Frozen on purpose: whoever changes this list changes what other people's programs rely on (CHANGELOG.md).
PUBLIC = {
    "__version__": str,
    "train": "(recipe, *, out=None, name=None, resume=False, progress=None)",
    "search": "(recipe, *, out=None, name=None, resume=False, progress=None)",
    "combine": "(bundles, out, *, names=(), default=None, progress=None)",
    "compress": "(bundle, out=None, *, passes='', target='', settings=None, max_loss=None, trials=20, data=None, unlabelled=None, columns=None, variant=None, progress=None)",
    "export": "(bundle, out=None, *, format, data=None, columns=None, variant=None, progress=None)",
    "load": "(bundle, runtime='auto', variant=None)",
    "Recipe": "(task, data, tasks, version, model, train, evaluate, decision, predict, report, search, trackers, seed)",
    "Example": "(id, inputs, label, columns)",
    "Prediction": "(value, score, scores, decision, truncated_tokens, wider, parts)",
    "TunewrightError": Exception,
    "UsageError": tunewright.TunewrightError,
    "RecipeError": tunewright.TunewrightError,
    "DataError": tunewright.TunewrightError,
    "LabelError": tunewright.DataError,
    "ModelError": tunewright.TunewrightError,
    "BundleError": tunewright.TunewrightError,
    "TrainingError": tunewright.TunewrightError,
    "MachineError": tunewright.TunewrightError,
    "Refused": tunewright.TunewrightError,
    "sklearn": ["TextClassifier"],
}
PREDICTOR = {
    "predict",
    "predictions",
    "in_chunks",
    "infer",
    "answers",
    "labels",
    "bundle",
    "processor",
    "note",
    "runtime",
}
PREDICTOR |= {"example", "reranked", "reranker", "policy", "chunk"}
OUTCOME = ["verdict", "sentence", "run", "bundle", "metrics", "baselines", "seconds", "tokens_per_second"]
HEAVY = ("torch", "transformers", "sklearn", "numpy", "pyarrow", "pydantic", "peft", "accelerate", "optuna")


def test_the_public_names_are_those_promised():
    assert set(tunewright.__all__) == set(PUBLIC)
    assert set(dir(tunewright)) == set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_what_was_promised(name):
    found, promised = getattr(tunewright, name), PUBLIC[name]
    if isinstance(promised, list):
        assert found.__all__ == promised
    elif isinstance(promised, type) and issubclass(promised, Exception):
        assert issubclass(found, promised)
    elif isinstance(promised, type):
        assert isinstance(found, promised)
    elif dataclasses.is_dataclass(found):
        assert f"({', '.join(field.name for field in dataclasses.fields(found))})" == promised
    else:
        plain = [part.replace(annotation=part.empty) for part in inspect.signature(found).parameters.values()]
        assert str(inspect.Signature(plain)) == promised


def test_what_load_and_train_give_back_is_as_promised(tiny_run):
    from tunewright.engine.local import Outcome

    assert [field.name for field in dataclasses.fields(Outcome)] == OUTCOME
    model = tunewright.load(tiny_run)
    assert {name for name in (*dir(type(model)), *vars(model)) if not name.startswith("_")} == PREDICTOR


def test_every_public_name_is_documented():
    for name in PUBLIC:
        if name != "__version__":
            assert inspect.getdoc(getattr(tunewright, name)), name


def test_importing_tunewright_loads_nothing_heavy():
    code = f"import sys, json, tunewright; print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tunewright' has no attribute 'trian'"):
        tunewright.trian  # noqa: B018


def test_names_for_type_checkers_are_the_same():
    source = Path(tunewright.__file__).read_text("utf-8")
    stated = set(re.findall(r"import (\w+) as \1", source))
    assert stated == set(PUBLIC) - {"__version__"}


def test_train_takes_a_file_a_mapping_or_a_recipe(tiny_backbone, intents_csv, tmp_path, monkeypatch):
    from tunewright.core.recipe_file import from_mapping, to_yaml

    monkeypatch.chdir(tmp_path)
    mapping = {
        "task": "text_classification",
        "data": {"train": str(intents_csv.train), "test": str(intents_csv.test)},
        "model": {"backbone": str(tiny_backbone)},
        "train": {"epochs": 1, "threads": 1, "precision": "fp32"},
        "evaluate": {"baselines": ["majority"], "resamples": 100},
        "predict": {"runtime": "torch"},
    }
    recipe = from_mapping(mapping)
    (tmp_path / "first.yaml").write_text(to_yaml(recipe))
    outcomes = [tunewright.train(given) for given in (mapping, recipe, "first.yaml")]
    assert [str(outcome.run) for outcome in outcomes] == ["runs/run", "runs/run-2", "runs/first"]
    assert outcomes[0].metrics == outcomes[1].metrics == outcomes[2].metrics
    assert tunewright.load(outcomes[0].bundle).predict(["我的卡丢了"])[0].value in ("card", "music", "weather")
    assert 'tunewright.train("recipe.yaml")' in (outcomes[0].run / "report.json").read_text().replace('\\"', '"')


def test_a_wrong_key_in_a_mapping_is_said():
    with pytest.raises(tunewright.RecipeError, match=r"unknown key 'epoch' under train. Did you mean 'epochs'\?"):
        tunewright.train({"task": "text_classification", "data": {"train": "a.csv"}, "train": {"epoch": 3}})


def test_predict_wants_a_list_of_texts(tiny_bundle):
    model = tunewright.load(tiny_bundle)
    with pytest.raises(tunewright.DataError, match=r"predict takes a list of texts: predict\(\[text\]\)"):
        model.predict("i lost my card")
    with pytest.raises(tunewright.DataError, match="Input 1 must be a text, or a mapping with text; it is 7"):
        model.predict(["a", 7])
    by_text, by_mapping = model.predict(["我的卡丢了"]), model.predict([{"text": "我的卡丢了"}])
    assert by_text == by_mapping and model.predict([]) == []
