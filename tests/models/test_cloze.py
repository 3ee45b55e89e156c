"""Cloze questions: the words are weighed at the mask and nowhere else, and each is one token there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from tunewright.core.errors import ModelError, RecipeError
from tunewright.models.cloze import Cloze
from tunewright.testing.tiny import tiny_masked_lm

WORDS = ["card", "music", "weather"]
TEXTS = ["i lost my card", "好 a song 歌", "", "is it {} or {mask}", "cold " * 300]


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    return str(tiny_masked_lm(tmp_path_factory.mktemp("lm"), seed=3))


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory):
    """A model of RoBERTa's kind: its tokens of words have the space before them, or have not."""
    from tokenizers import AddedToken, ByteLevelBPETokenizer, processors

    corpus = ["it was great.", "it was good.", "great: it was", "很好。不错", "it was bad."] * 30
    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(corpus, vocab_size=320, min_frequency=2, special_tokens=special)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return saved(tokenizer, tmp_path_factory.mktemp("bytes"))


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """A model whose vocabulary has tokens of several Chinese characters, as XLM-R's (unigrams)."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    pieces = [("<unk>", 0.0), ("▁", -4.0), ("很好", -2.0), ("好", -3.0), ("很", -3.0), ("坏", -3.0), ("▁店", -3.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["<s>", "</s>", "<pad>", "<mask>"])
    return saved(tokenizer, tmp_path_factory.mktemp("joined"))


def saved(tokenizer, folder):
    """Saved with a masked language model made from a seed."""
    names = dict(unk_token="<unk>", pad_token="<pad>", mask_token="<mask>", bos_token="<s>", eos_token="</s>")
    inner = getattr(tokenizer, "_tokenizer", tokenizer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=64, **names)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = transformers.RobertaConfig(**sizes, vocab_size=len(fast), max_position_embeddings=66, pad_token_id=1)
        transformers.RobertaForMaskedLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return str(folder)


def asked(name, template, words, texts):
    return Cloze(name, template, words, "train.start").ask(texts, lambda count: None)


@pytest.mark.parametrize("template", ["{mask}: {}", "{} It was {mask}.", "{}很{mask}！", "good {mask} {} bad"])
def test_words_are_weighed_at_the_mask_as_transformers_has_it(lm, template):
    tokenizer = transformers.AutoTokenizer.from_pretrained(lm)
    model = transformers.AutoModelForMaskedLM.from_pretrained(lm).eval()
    found = asked(lm, template, WORDS, TEXTS)
    for text, own in zip(TEXTS, found, strict=True):
        size = len(tokenizer(template.replace("{mask}", "[MASK]").replace("{}", ""))["input_ids"])
        text = " ".join(text.split()[: 128 - size])  # "cold" is one token
        before, after = template.replace("{mask}", "[MASK]").split("{}")
        encoded = tokenizer(before + text + after, return_tensors="pt")
        assert encoded["input_ids"].shape[1] <= 128
        [place] = (encoded["input_ids"][0] == tokenizer.mask_token_id).nonzero()
        with torch.inference_mode():
            logits = model(**encoded).logits[0, place[0], tokenizer.convert_tokens_to_ids(WORDS)]
        assert own == pytest.approx(torch.softmax(logits, dim=0).numpy(), abs=1e-5)


def test_a_mask_that_stands_in_the_text_is_not_asked(lm):
    same = asked(lm, "{} It was {mask}.", WORDS, ["a [MASK] film", "a film"])
    assert same[0] == pytest.approx(same[1], abs=1e-6)


def test_half_an_emoji_is_read_as_a_sign(lm):
    found = asked(lm, "{} It was {mask}.", WORDS, ["a \ud83d film", "a ? film"])
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_where_the_mask_stands_changes_what_is_said(lm):
    found = [asked(lm, template, WORDS, TEXTS[:2]) for template in ("{mask} : {}", "{} : {mask}")]
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_no_more_than_the_mask_goes_through_the_vocabulary(lm):
    cloze = Cloze(lm, "{mask}: {}", WORDS, "train.start")
    seen = []
    cloze._model.get_output_embeddings().register_forward_hook(lambda module, given, out: seen.append(out.shape))
    cloze.ask(TEXTS, lambda count: None)
    assert {shape[1] for shape in seen} == {1}


def test_a_word_has_the_space_before_it_that_the_template_has(byte_level):
    inside, first = (
        Cloze(byte_level, template, ["great"], "train.start") for template in ("{} it was {mask}.", "{mask}: {}")
    )
    pieces = [one._tokenizer.convert_ids_to_tokens(one._ids) for one in (inside, first)]
    assert pieces == [["Ġgreat"], ["great"]]
    assert asked(byte_level, "{} it was {mask}.", ["great", "good"], ["it was", "很好"]).shape == (2, 2)


def test_a_word_that_joins_what_stands_before_it_is_a_token_all_the_same(joined):
    cloze = Cloze(joined, "{}很{mask}", ["好", "坏"], "train.start")
    assert cloze._tokenizer.convert_ids_to_tokens(cloze._ids) == ["好", "坏"]
    with pytest.raises(RecipeError, match="'妙' is no token"):
        Cloze(joined, "{}很{mask}", ["妙"], "train.start")


@pytest.mark.parametrize(
    ("template", "words", "said"),
    [
        ("{mask}: {}", ["credit card"], r"train.start.words: 'credit card' is 7 tokens \('c', '##r', .*'card'\) of "),
        (
            "{mask}: {}",
            ["cards"],
            r"'cards' is 2 tokens \('card', '##s'\) of .* Near ones that are a token: card, can\.",
        ),
        ("{}很{mask}", ["音乐"], r"'音乐' is 2 tokens \('音', '乐'\) of .* where {mask} stands.* a token: 音, 乐\."),
        ("{mask}: {}", ["😀"], r"'😀' is no token of .* Give its label another word\.$"),
        ("{mask}: {}", [""], r"'' is no token of "),
        ("{mask}: {}", ["card", "Card"], r"train.start.words: 'card' and 'Card' are the same token\. Each word"),
        ("{}", ["card"], r"train.start.template is '{}', and needs {} once, .* and {mask} once"),
        ("{mask}{mask} {}", ["card"], r"train.start.template is '{mask}{mask} {}', and needs"),
        (
            "good " * 130 + "{} {mask}",
            ["card"],
            r"train.start.template has 133 tokens without the text, and .* reads 128",
        ),
    ],
)
def test_what_cannot_be_asked_is_told_with_the_recipes_key(lm, template, words, said):
    with pytest.raises(RecipeError, match=said):
        Cloze(lm, template, words, "train.start")


def test_a_model_that_is_none_is_told_with_the_recipes_key(tiny_backbone):
    with pytest.raises(RecipeError, match=r"train.start.model is needed: a folder, or a hub id"):
        Cloze("", "{mask}: {}", WORDS, "train.start")
    with pytest.raises(
        ModelError, match=r"train.start.model: .* has no weights for cls.* AutoModelForMaskedLM is needed"
    ):
        Cloze(str(tiny_backbone), "{mask}: {}", WORDS, "train.start")


def test_a_model_that_is_not_there_is_told_with_the_recipes_key_and_what_it_has_to_be(tmp_path):
    with pytest.raises(
        ModelError, match=r"^train\.start\.model: .*nowhere.* None of these opens as AutoModelForMaskedLM"
    ):
        Cloze(str(tmp_path / "nowhere"), "{mask}: {}", ["good"], "train.start")
