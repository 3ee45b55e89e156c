"""What a bundle's model/ says in plain transformers, and its adapter/ in plain PEFT, is what predict says."""

import warnings

import numpy as np
import pytest

from tunewright.predict.predictor import load
from tunewright.predict.source import open_file

TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def lora_bundle(tmp_path_factory, train_tiny):
    folder = tmp_path_factory.mktemp("lora") / "run"
    return train_tiny(folder, train__method={"name": "lora", "rank": 4}, train__start="random") / "bundle"


@pytest.fixture(scope="module")
def multi_label_bundle(tmp_path_factory, train_tiny, intents_csv):
    """Each row's label and its language: two labels a text."""
    folder = tmp_path_factory.mktemp("several")
    for path in intents_csv:
        _, *lines = path.read_text("utf-8").splitlines()
        parts = [line.rsplit(",", 2) for line in lines]
        rows = [f"{text},{label}|{language}" for text, label, language in parts]
        (folder / path.name).write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    files = {f"data__{path.stem}": str(folder / path.name) for path in intents_csv}
    task = {"name": "text_classification", "multi_label": True}
    return train_tiny(folder / "run", task=task, evaluate__slices=["length"], **files) / "bundle"


@pytest.fixture(scope="module")
def texts(intents_csv):
    return [row.values["text"] for row in open_file(intents_csv.test).read()]


def pipeline(folder, **settings):
    import transformers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return transformers.pipeline("text-classification", model=str(folder), device="cpu", **settings)


@pytest.mark.parametrize("which", ["tiny_bundle", "lora_bundle"])
def test_a_plain_pipeline_gives_the_same_labels_and_scores(which, texts, request):
    bundle = request.getfixturevalue(which)
    ours = load(bundle).predict(texts)
    theirs = pipeline(bundle / "model")(texts)
    assert [answer["label"] for answer in theirs] == [prediction.value for prediction in ours]
    assert [answer["score"] for answer in theirs] == pytest.approx([p.score for p in ours], abs=TOLERANCE)


def test_a_plain_pipeline_gives_the_same_score_of_every_label(tiny_bundle, texts):
    ours = load(tiny_bundle).predict(texts)
    for prediction, answers in zip(ours, pipeline(tiny_bundle / "model", top_k=None)(texts), strict=True):
        assert {a["label"]: a["score"] for a in answers} == pytest.approx(dict(prediction.scores), abs=TOLERANCE)


def test_a_plain_pipeline_knows_that_a_text_has_several_labels(multi_label_bundle, texts):
    ours = load(multi_label_bundle).predict(texts)
    for prediction, answers in zip(ours, pipeline(multi_label_bundle / "model", top_k=None)(texts), strict=True):
        assert {a["label"]: a["score"] for a in answers} == pytest.approx(dict(prediction.scores), abs=TOLERANCE)
    assert any(len(prediction.value) == 2 for prediction in ours)


def test_a_saved_adapter_opens_in_plain_peft(lora_bundle, tiny_backbone):
    """The adapter on the backbone gives the hidden states of the merged model."""
    import torch
    from peft import PeftModel
    from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

    adapted = PeftModel.from_pretrained(AutoModel.from_pretrained(tiny_backbone), lora_bundle / "adapter").eval()
    plain = AutoModel.from_pretrained(tiny_backbone).eval()
    merged = AutoModelForSequenceClassification.from_pretrained(lora_bundle / "model").eval()
    tokens = AutoTokenizer.from_pretrained(lora_bundle / "model")(["i lost my card 我的卡丢了"], return_tensors="pt")
    with torch.inference_mode():
        hidden = [network(**tokens).last_hidden_state.numpy() for network in (adapted, plain)]
        merged_states = merged.base_model(**tokens, output_hidden_states=True).hidden_states
    layers = adapted.config.num_hidden_layers
    np.testing.assert_allclose(hidden[0], merged_states[layers].numpy(), atol=1e-4)
    assert np.abs(hidden[0] - hidden[1]).max() > 1e-3
