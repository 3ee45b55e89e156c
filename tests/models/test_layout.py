"""What is saved opens with plain transformers and gives the same answers, and opens here with the same bits."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from tunewright.core import catalog
from tunewright.models import layout
from tunewright.models.model import build_model
from tunewright.testing.tiny import tiny_backbone

LABELS = ("refund", "退款", "<other>")


def built(folder, head="pooled", labels=LABELS):
    torch.manual_seed(0)
    model = build_model(folder, catalog.create("heads", head), labels, dropout=0.0, attention="eager").eval()
    torch.nn.init.normal_(model.head.output.weight, std=0.5)
    torch.nn.init.normal_(model.head.output.bias, std=0.5)
    return model


def batch(lengths=(9, 5, 2)):
    random = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 100, (len(lengths), max(lengths)), generator=random)
    mask = torch.tensor([[int(i < n) for i in range(max(lengths))] for n in lengths])
    return {"input_ids": ids * mask, "attention_mask": mask}


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_plain_transformers_computes_the_same_logits_from_the_saved_folder(tmp_path, family):
    model = built(tiny_backbone(tmp_path / "backbone", family=family))
    layout.save_model(model, tmp_path / "saved", multi_label=False)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    with torch.inference_mode():
        torch.testing.assert_close(plain(**batch()).logits, model(batch()), rtol=1e-4, atol=1e-4)
    assert [plain.config.id2label[i] for i in range(3)] == list(LABELS)
    assert plain.config.problem_type == "single_label_classification"


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
@pytest.mark.parametrize("head", ["pooled", "tokens"])
def test_opening_a_saved_model_gives_back_the_same_bits(tmp_path, family, head):
    model = built(tiny_backbone(tmp_path / "backbone", family=family), head)
    layout.save_model(model, tmp_path / "saved", multi_label=False)
    opened = layout.load_model(tmp_path / "saved")
    with torch.inference_mode():
        assert torch.equal(opened(batch()), model(batch()))
    assert opened.labels == LABELS


def test_a_token_classifier_opens_as_one_in_transformers(tmp_path):
    model = built(tiny_backbone(tmp_path / "backbone"), "tokens")
    layout.save_model(model, tmp_path / "saved", multi_label=False)
    plain = AutoModelForTokenClassification.from_pretrained(tmp_path / "saved").eval()
    with torch.inference_mode():
        torch.testing.assert_close(plain(**batch()).logits, model(batch()))


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_starts_and_ends_open_as_a_model_for_question_answering_in_transformers(tmp_path, family):
    model = built(tiny_backbone(tmp_path / "backbone", family=family), "start_end", ("start", "end"))
    layout.save_model(model, tmp_path / "saved", multi_label=False)
    plain = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "saved").eval()
    with torch.inference_mode():
        said, ours = plain(**batch()), model(batch())
    torch.testing.assert_close(said.start_logits, ours[..., 0])
    torch.testing.assert_close(said.end_logits, ours[..., 1])
    with torch.inference_mode():
        assert torch.equal(layout.load_model(tmp_path / "saved")(batch()), ours)


def test_a_multi_label_model_says_so_to_transformers(tmp_path):
    layout.save_model(built(tiny_backbone(tmp_path / "backbone")), tmp_path / "saved", multi_label=True)
    assert json.loads((tmp_path / "saved/config.json").read_text())["problem_type"] == "multi_label_classification"


def test_a_family_without_a_plain_form_keeps_its_backbone_open_to_transformers(tmp_path):
    model = built(tiny_backbone(tmp_path / "backbone", family="distilbert"))
    assert layout.plain_form(model, multi_label=False) is None
    layout.save_model(model, tmp_path / "saved", multi_label=False)
    body = AutoModel.from_pretrained(tmp_path / "saved").eval()
    with torch.inference_mode():
        torch.testing.assert_close(body(**batch()).last_hidden_state, model.hidden(batch()))


def test_outlier_dimensions_do_not_break_the_plain_form(tmp_path):
    model = built(tiny_backbone(tmp_path / "backbone"))
    with torch.no_grad():
        dict(model.backbone.named_parameters())["encoder.layer.1.output.LayerNorm.weight"][3] = 40.0
    layout.save_model(model, tmp_path / "saved", multi_label=False)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    with torch.inference_mode():
        torch.testing.assert_close(plain(**batch()).logits, model(batch()), rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("family", ["electra", "roformer"])
def test_a_family_that_only_looks_like_bert_is_not_taken_for_it(tmp_path, family):
    import transformers

    backbone = tiny_backbone(tmp_path / "backbone")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.AutoConfig.for_model(family, **sizes, embedding_size=32, vocab_size=615)
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(backbone)
    model = built(backbone)
    layout.save_model(model, tmp_path / "saved", multi_label=False)
    assert not json.loads((tmp_path / "saved/config.json").read_text())["tunewright"].get("transformers", True)
    with torch.inference_mode():
        assert torch.equal(layout.load_model(tmp_path / "saved")(batch()), model(batch()))
