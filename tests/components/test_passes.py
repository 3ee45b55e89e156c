"""What is special about each compression pass; what all of them promise is in testing/kinds/passes.py."""

from __future__ import annotations

import dataclasses
import string

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from torch import nn

from tunewright.core import catalog
from tunewright.core.contracts import Compressible, Evidence
from tunewright.core.progress import Silent
from tunewright.core.types import Example
from tunewright.models import smaller, surgery, vocabulary
from tunewright.models.inference import outputs
from tunewright.models.layout import load_model, save_model
from tunewright.models.model import build_model
from tunewright.models.packed import packed
from tunewright.models.processor import Processor
from tunewright.testing import materials, tiny_backbone
from tunewright.training.distillation import Answers

ROWS = ("a good film", "这家店很好，喜欢", "bad movie, not good", "坏 bad 好 good")


def made(name, given, texts=ROWS, **settings):
    component = catalog.create("passes", {"name": name, **settings})
    assert component.lacks(given) == ""
    return component.apply(given, evidence(texts))


def evidence(texts=ROWS):
    rows = [Example(f"a:{line}", {"text": text}) for line, text in enumerate(texts)]

    def losses(given):
        for row in rows:
            [window] = [part for parts in given.processor.encode([row.inputs["text"]]) for part in parts]
            batch = {name: torch.from_numpy(value)[None].long() for name, value in window.features.items()}
            yield given.model(batch).square().mean()

    task = catalog.create("tasks", "text_classification")
    return Evidence(
        task,
        materials.LABELS,
        rows,
        rows,
        losses=losses,
        value=lambda given: (0.0, -_distance(given)),
        imitate=None,
        hidden=None,
        fit_head=None,
    )


def _distance(given):
    original = materials.model().eval()
    pairs = zip(logits(given), logits(dataclasses.replace(given, model=original)), strict=True)
    return float(np.mean([np.abs(one - other).mean() for one, other in pairs]))


def fresh(head="pooled"):
    return Compressible(materials.model(head).eval(), materials.processor())


def logits(given, texts=ROWS):
    given.model.pack()
    windows = [part.features for parts in given.processor.encode(list(texts)) for part in parts]
    return outputs(given.model, windows, pad_id=given.processor.pad_id)


def pieces_of(processor, texts):
    return [[processor.tokenizer.id_to_token(i) for i in part.input_ids] for p in processor.encode(list(texts)) for part in p]  # fmt: skip


# ----------------------------------------------------------------------------------------------- shrink_vocabulary


def unigram(prefix=""):
    """A Unigram tokenizer as sentencepiece makes them, its template's ids and added pieces behind the others."""
    whole = [
        "▁the",
        "▁good",
        "▁film",
        "ing",
        "▁film",
        "ab",
        "bc",
        "电影",
        "很好",
        "▁zebra",
        "quux",
        "▁",
        *string.ascii_lowercase,
    ]
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(piece, -3.0 - index / 10) for index, piece in enumerate(dict.fromkeys(whole))]
    pieces += [(character, -9.0) for character in "电影很好看"] + [("rare", -30.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    ends = [(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")]
    tokenizer.post_processor = TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=ends)
    described = {"unk_token": "<unk>", "pad_token": "<pad>"}
    return Processor(tokenizer, max_tokens=32, prefix=prefix, pad_id=1, type_ids=False, described=described)


def test_texts_of_kept_pieces_keep_their_very_tokens_and_others_still_have_some():
    processor = unigram(prefix="the ")
    texts = ["the good film", "电影很好看", "abc", "zzz 龘 film"]
    used = {int(i) for parts in processor.encode(texts) for part in parts for i in part.input_ids}
    less, order = vocabulary.without(processor, used | vocabulary.needed(processor))
    assert less.tokenizer.get_vocab_size() == len(order) < processor.tokenizer.get_vocab_size()
    assert pieces_of(less, texts) == pieces_of(processor, texts)
    ids, before = ([part.input_ids for p in one.encode(texts) for part in p] for one in (less, processor))
    assert all(np.array_equal(order[new], old) for new, old in zip(ids, before, strict=True))
    assert pieces_of(less, ["quux"])[0] != pieces_of(processor, ["quux"])[0]  # cut finer, not lost
    assert "<unk>" not in pieces_of(less, ["quux"])[0]
    assert (less.pad_id, less.tokenizer.token_to_id("<mask>")) == (1, len(order) - 1)


def test_what_an_unknown_character_costs_stays_the_same():
    """sentencepiece charges the lowest score and ten more: that piece must stay, or other ways become the best."""
    processor = unigram()
    assert processor.tokenizer.token_to_id("rare") in vocabulary.needed(processor)


def test_special_pieces_single_characters_and_the_template_stay():
    processor = materials.processor()
    needed = {processor.tokenizer.id_to_token(index) for index in vocabulary.needed(processor)}
    assert {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##a", "好"} <= needed and "movie" not in needed


def test_answers_to_the_rows_are_the_very_same_and_the_table_is_smaller():
    before = fresh()
    after = made("shrink_vocabulary", fresh(), keep="used")
    tables = [surgery.word_embeddings(one.model.backbone).num_embeddings for one in (before, after)]
    assert tables[1] < tables[0] and after.model.backbone.config.vocab_size == tables[1]
    assert pieces_of(after.processor, ROWS) == pieces_of(before.processor, ROWS)
    assert all(np.array_equal(one, other) for one, other in zip(logits(before), logits(after), strict=True))


def test_pieces_of_the_rows_scripts_stay_unless_only_used_ones_are_wanted():
    english = ("a good film",)
    some = made("shrink_vocabulary", fresh(), english)
    few = made("shrink_vocabulary", fresh(), english, keep="used")
    assert some.processor.tokenizer.token_to_id("weather") is not None
    assert few.processor.tokenizer.token_to_id("weather") is None


def test_it_says_how_many_rows_it_would_have_cut_finer_unseen():
    class Heard:
        def __init__(self):
            self.said = []

        def task(self, title, total=None):
            return Silent().task(title, total)

        def say(self, message):
            self.said.append(message)

    heard, given = Heard(), fresh()
    about = evidence(("a good film",))
    rows = [*about.train, Example("b:1", {"text": "the weather"})]
    about = dataclasses.replace(about, validation=rows, progress=heard)
    made = catalog.create("passes", {"name": "shrink_vocabulary", "keep": "used"}).apply(given, about)
    assert heard.said[0].startswith("1 of 2 validation rows have pieces that nothing else asks for.")
    assert made.processor.tokenizer.token_to_id("weather") is not None


def test_a_tokenizer_whose_pieces_are_made_of_pieces_is_left_alone():
    bpe = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    processor = Processor(bpe, max_tokens=8, pad_id=0, type_ids=False)
    said = catalog.create("passes", "shrink_vocabulary").lacks(dataclasses.replace(fresh(), processor=processor))
    assert said == "its tokenizer is BPE, of which pieces are made from other pieces"


# ------------------------------------------------------------------------------------------------ layers, units, heads


def test_the_layer_that_is_missed_least_goes():
    given = fresh()
    with torch.no_grad():  # the first layer hands on what it is given, up to a norm
        for name in ("attention.output.dense", "output.dense"):
            part = surgery.layers(given.model.backbone)[0].get_submodule(name)
            part.weight.zero_()
            part.bias.zero_()
    second = surgery.layers(given.model.backbone)[1]

    def distance(one, expected):
        return -float(np.mean([np.abs(a - b).mean() for a, b in zip(logits(one), expected, strict=True)]))

    expected = logits(given)
    after = catalog.create("passes", {"name": "prune_layers", "share": 0.5}).apply(
        given, dataclasses.replace(evidence(), value=lambda one: (0.0, distance(one, expected)))
    )
    assert surgery.layers(after.model.backbone) == [second]
    assert after.model.backbone.config.num_hidden_layers == 1


def test_units_that_the_loss_does_not_depend_on_go_first():
    given = fresh()
    with torch.no_grad():
        for _, down in smaller.inner_maps(given.model.backbone):
            down.weight[:, ::4] = 0  # of 64 units, 16 that say nothing
    before = logits(given)
    after = made("prune_ffn", given, share=0.25)
    assert {down.in_features for _, down in smaller.inner_maps(after.model.backbone)} == {48}
    assert max(np.abs(one - other).max() for one, other in zip(before, logits(after), strict=True)) < 1e-5


def test_heads_that_the_loss_does_not_depend_on_go_first_and_the_rest_is_saved_and_computed_packed(tmp_path):
    given, size = fresh(), smaller.head_size(fresh().model.backbone)
    with torch.no_grad():
        for name in surgery.linear_maps(given.model.backbone)["attention_output"]:
            given.model.backbone.get_submodule(name).weight[:, :size] = 0  # the first of two heads says nothing
    before = logits(given)
    after = made("prune_heads", given, share=0.5)
    maps = surgery.linear_maps(after.model.backbone)
    assert {after.model.backbone.get_submodule(name).out_features for name in maps["query"]} == {size}
    assert packed(after.model.backbone) is not None
    assert max(np.abs(one - other).max() for one, other in zip(before, logits(after), strict=True)) < 1e-5
    save_model(after.model, tmp_path / "model", multi_label=False)
    opened = dataclasses.replace(after, model=load_model(tmp_path / "model"))
    assert max(np.abs(one - other).max() for one, other in zip(before, logits(opened), strict=True)) < 1e-5


def test_layers_may_keep_different_numbers_of_heads():
    given = fresh()
    kept = [torch.tensor([0, 1]), torch.tensor([1])]
    smaller.keep_heads(given.model.backbone, kept)
    query = surgery.linear_maps(given.model.backbone)["query"]
    assert [given.model.backbone.get_submodule(name).out_features for name in query] == [32, 16]
    assert all(np.isfinite(one).all() for one in logits(given))


def test_a_map_through_all_directions_is_the_same_map_and_fewer_are_the_nearest():
    torch.manual_seed(0)
    base, rows = nn.Linear(6, 8), torch.randn(500, 6) @ torch.diag(torch.tensor([9.0, 5, 3, 0.01, 0.01, 0.01]))
    watched = smaller.Watched(base)
    watched(rows)
    torch.testing.assert_close(watched.factored(8)(rows), base(rows), rtol=1e-3, atol=1e-3)
    assert (
        (watched.factored(3)(rows) - base(rows)).abs().max()
        < 0.2
        < (watched.factored(1)(rows) - base(rows)).abs().max()
    )


def test_factored_maps_are_fewer_weights_and_come_back_from_a_saved_model(tmp_path):
    before, given = fresh(), fresh()
    after = made("low_rank", given, share=0.5)
    counts = [sum(one.numel() for one in each.model.parameters()) for each in (before, after)]
    assert counts[1] < counts[0]
    expected = logits(after)
    save_model(after.model, tmp_path / "model", multi_label=False)
    opened = dataclasses.replace(after, model=load_model(tmp_path / "model"))
    assert max(np.abs(one - other).max() for one, other in zip(expected, logits(opened), strict=True)) < 1e-5


def test_networks_without_the_parts_are_not_served(tmp_path):
    words = Compressible(materials.model(), materials.processor())
    words.model.backbone = nn.Sequential(nn.Embedding(600, 32))
    words.model.backbone.config = {"hidden_size": 32}
    for name in ("prune_layers", "prune_ffn", "low_rank"):
        assert catalog.create("passes", name).lacks(words)
    folder = tiny_backbone(tmp_path / "distil", family="distilbert")
    other = Compressible(build_model(folder, catalog.create("heads", "pooled"), ("a", "b")), materials.processor())
    assert catalog.create("passes", "prune_heads").lacks(other) == "its attention is not built as BERT's"
    assert catalog.create("passes", "prune_ffn").lacks(other) == ""


# -------------------------------------------------------------------------------------------------- distillation


@pytest.mark.parametrize("scores", ["choice", "yes_or_no", "none"])
def test_the_loss_of_imitation_is_least_where_both_say_the_same(scores):
    torch.manual_seed(0)
    objective = Answers(outputs=3, scores=scores, temperature=2.0, hidden=1.0)
    said, meant = torch.randn(4, 8, requires_grad=True), torch.randn(4, 8)
    same, far = (objective.loss(one, meant, None) for one in (meant, said))
    assert same.shape == (4,) and bool((same < far).all())
    far.sum().backward()
    assert bool((said.grad != 0).all())


def test_padding_has_no_part_in_the_loss_of_imitation():
    objective = Answers(outputs=2, scores="none", hidden=1.0)
    said, meant = torch.randn(1, 3, 5), torch.randn(1, 3, 5)
    longer = [
        torch.cat([one, torch.full((1, 2, 5), filling)], dim=1) for one, filling in ((said, 7.0), (meant, -100.0))
    ]
    torch.testing.assert_close(objective.loss(*longer, None), objective.loss(said, meant, None))


def test_a_network_tells_its_logits_and_what_they_are_a_map_of():
    model = materials.model().eval()
    batch = materials.batch()
    with torch.inference_mode(), model.telling():
        told = model(batch)
    with torch.inference_mode():
        torch.testing.assert_close(told, torch.cat([model(batch), model.pooled(batch)], dim=1))
