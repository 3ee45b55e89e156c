"""Masked before the model reads it: what it is given, what is counted, and where answers point."""

from __future__ import annotations

import pytest

from tunewright.core.masking import mask
from tunewright.core.types import Prediction
from tunewright.serve.service import _placed_back

TEXT = "call 13812345678 about my card"


@pytest.fixture
def masked(client, search_bundle, tiny_bundle):
    server = client(bundles={"intents": tiny_bundle, "faq": search_bundle})
    server.service.masks = True
    return server


@pytest.fixture
def seen(masked, monkeypatch):
    """The texts that the model is given."""
    texts = []

    def compute(examples):
        texts.extend(example.inputs["text"] for example in examples)
        scores = [0.9 - 0.1 * ("card" not in one.inputs["text"]) for one in examples]
        return [(None, Prediction("card", 0.9, {"card": score})) for score in scores]

    monkeypatch.setattr(masked.service.repository.models["intents"].current.worker, "_compute", compute)
    return texts


def test_the_model_reads_signs_and_they_are_counted_by_kind(masked, seen):
    asked = {"model": "intents", "inputs": [TEXT, "a@example.org"]}
    assert masked.post("/v1/predict", json=asked).status_code == 200
    assert seen == ["call [PHONE] about my card", "[EMAIL]"]
    text = masked.get("/metrics").text
    assert 'tunewright_masked_total{kind="phone",model="intents"} 1.0' in text
    assert 'tunewright_masked_total{kind="email",model="intents"} 1.0' in text


def test_every_route_masks(masked, seen):
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [TEXT]}
    masked.post("/v2/models/intents/infer", json={"inputs": [tensor]})
    masked.post("/v1/predict/stream?model=intents", content=f'"{TEXT}"')
    masked.post("/v1/explain", json={"model": "intents", "inputs": [TEXT]})
    assert len(seen) > 3 and not any("138" in text for text in seen)
    both = [
        masked.post("/v1/embeddings", json={"model": "faq", "input": text, "input_type": kind}).json()["data"]
        for kind in ("query", "document")
        for text in ("lost 13812345678", "lost 13987654321")
    ]
    assert both[0] == both[1] and both[2] == both[3]


def test_not_asked_to_it_masks_nothing(client, monkeypatch):
    server, texts = client(), []
    worker = server.service.repository.models["intents"].current.worker
    monkeypatch.setattr(worker, "_compute", lambda all: [texts.append(one.inputs["text"]) or (None, Prediction("card", 1.0)) for one in all])  # fmt: skip
    server.post("/v1/predict", json={"inputs": [TEXT]})
    assert texts == [TEXT]


def test_explained_words_have_their_places_in_the_text_that_was_sent(masked, seen):
    [row] = masked.post("/v1/explain", json={"model": "intents", "inputs": [TEXT]}).json()["explanations"]
    card = next(one for one in row["words"] if one["text"] == "card")
    assert TEXT[card["start"] : card["end"]] == "card" and card["contribution"] == pytest.approx(0.1)


def test_places_in_any_answer_are_those_of_the_text_that_was_sent():
    masked = mask(TEXT)
    start = masked.text.index("card")
    span = {"text": "card", "start": start, "end": start + 4, "label": "thing"}
    row = {"entities": [span], "triples": [{"head": span, "relation": "x", "tail": None}], "score": 1, "start": None}
    found = _placed_back(row, masked)
    for one in (found["entities"][0], found["triples"][0]["head"]):
        assert TEXT[one["start"] : one["end"]] == "card"
    assert (found["score"], found["start"]) == (1, None)


def test_what_another_bundle_finds_is_masked_and_one_that_finds_nothing_is_refused(names_bundle, tiny_bundle, client):
    from starlette.testclient import TestClient

    from tunewright.core.errors import UsageError
    from tunewright.serve.start import Settings, opened

    app, service = opened(Settings({"intents": str(tiny_bundle)}, mask_entities=str(names_bundle)))
    server, seen = TestClient(app, base_url="http://127.0.0.1"), []
    worker = service.repository.models["intents"].current.worker
    real = worker._compute
    worker._compute = lambda examples: [seen.append(one.inputs["text"]) for one in examples] and real(examples)
    assert (
        server.post("/v1/predict", json={"inputs": ["i lost my card now", "", "call 13812345678"]}).status_code == 200
    )
    assert seen[0] == "i lost my [PER] now" and "[PHONE]" in seen[1]
    assert 'tunewright_masked_total{kind="PER",model="intents"} 1.0' in server.get("/metrics").text
    [row] = server.post("/v1/explain", json={"inputs": ["i lost my card now"]}).json()["explanations"]
    assert (10, 14) in [(one["start"], one["end"]) for one in row["words"]]
    service.repository.close(10)
    with pytest.raises(UsageError, match="finds no stretches in a text"):
        opened(Settings({"intents": str(tiny_bundle)}, mask_entities=str(tiny_bundle)))
