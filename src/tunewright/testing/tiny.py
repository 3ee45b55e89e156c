"""A backbone small enough for tests: built from a seed, in a moment, for English and Chinese, in the hub's layout."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from tunewright.core.files import write_json, write_text

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_TOKENS = 128
# Common words of both languages, so that test texts are mostly whole pieces; letters and characters cover the rest.
ENGLISH = """
the of and to in a is that for it was on with as be at by this have from or an they which one you were all her she
there would their we him been has when who will no more if out so up said what its about than into them can only other
time new some could these two may first then do any like my now over such our man me even most made after also did many
good bad great poor best worst love hate like nice fine awful boring fun happy sad film movie book music song food
price market bank money card pay bill order ship late fast slow cheap buy sell open close lost find help need want get
set play stop start call book flight train hotel weather rain sun cold hot today tomorrow team game win score player
world news company science computer phone data model test yes not never very really just too long short big small
"""
CHINESE = """
的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民
得经十三之进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那
社义事平形相全表间样与关各重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已
通并提直题程展五果料象员革位入常文总次品式活设及管特件长求老头基资边流路级少图山统接知较将组见计别她手角期根论运农指几九
区强放决西被干做必战先回则任取据处理世车快慢好坏喜欢讨厌电影书音乐歌饭菜价格市场银行钱卡付账单订货便宜贵买卖丢找帮助需
球队赛赢输天气雨晴冷热今明早晚科技新闻公司手机电脑数据模型测试非常真太短错美丑笑哭爱恨，。！？：；、（）《》“”
"""


def tiny_backbone(folder: Path | str, seed: int = 0, family: Literal["bert", "roberta", "distilbert"] = "bert") -> Path:
    """Write a backbone of 2 layers, 32 wide, about 600 pieces to `folder`; equal arguments give equal bytes."""
    import torch
    import transformers

    folder = Path(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = transformers.AutoConfig.for_model(family, **_sizes(family), vocab_size=len(vocabulary()))
        model = transformers.AutoModel.from_config(config)
    folder.mkdir(parents=True, exist_ok=True)
    from safetensors.torch import save_file

    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    save_file(
        {name: value.contiguous() for name, value in model.state_dict().items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    write_tokenizer(folder)
    return folder


def tiny_masked_lm(folder: Path | str, seed: int = 0, echoes: bool = False) -> Path:
    """Write a masked language model of the same size and vocabulary; what it fills in is as good as random.

    echoes: it expects the words that stand around a mask, of whatever order.
    """
    sizes = {**_sizes("bert"), **({"hidden_act": "linear"} if echoes else {})}
    return _written(Path(folder), seed, "BertForMaskedLM", "bert", sizes, _echoing if echoes else None)


def _echoing(model: Any) -> None:
    """Make every token the sum of itself and the mean of all: the words that are there are what it is most like."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("word_embeddings.weight"):
                weight.normal_()
                weight[: len(SPECIAL)] = 0
            elif name.endswith("transform.LayerNorm.weight"):
                weight.fill_(0.3)  # sure, but not quite
            elif any(
                part in name for part in (".value.weight", "attention.output.dense.weight", "transform.dense.weight")
            ):
                weight.copy_(torch.eye(len(weight)))
            elif weight.ndim > 1:
                weight.zero_()


def tiny_seq2seq(folder: Path | str, seed: int = 0) -> Path:
    """Write a network that reads a text and writes another, of the same vocabulary; what it writes is as good as random."""
    ends = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 2}
    sizes = {f"{side}_{name}": size for side in ("encoder", "decoder") for name, size in _BART.items()}
    # Weights this large give outputs that depend on the text; smaller ones repeat one piece.
    sizes |= {"d_model": 32, "max_position_embeddings": MAX_TOKENS, "init_std": 0.5, "forced_eos_token_id": None}
    return _written(Path(folder), seed, "BartForConditionalGeneration", "bart", {**sizes, **ends})


def _written(
    folder: Path,
    seed: int,
    kind: str,
    family: str,
    sizes: dict[str, Any],
    change: Callable[[Any], None] | None = None,
) -> Path:
    import torch
    import transformers

    from tunewright.models.backbone import quiet

    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        config = transformers.AutoConfig.for_model(family, **sizes, vocab_size=len(vocabulary()))
        model = getattr(transformers, kind)(config)
        if change:
            change(model)
        model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def write_tokenizer(folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json: WordPiece, lower-cased, one piece for each Chinese character."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    pieces = vocabulary()
    tokenizer = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, pieces.index(name)) for name in ("[CLS]", "[SEP]")],
    )
    write_text(folder / "tokenizer.json", tokenizer.to_str())
    names = {f"{name[1:-1].lower()}_token": name for name in SPECIAL}
    write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", **names, "model_max_length": MAX_TOKENS},
    )


_BART = {"layers": 1, "attention_heads": 2, "ffn_dim": 64}


def vocabulary() -> list[str]:
    """The pieces in order of their ids; the first five are special."""
    letters = string.ascii_lowercase + string.digits
    marks = [mark for mark in string.punctuation]
    characters = [character for character in CHINESE if not character.isspace()]
    pieces = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *marks, *ENGLISH.split(), *characters]
    return list(dict.fromkeys(pieces))


def _sizes(family: str) -> dict[str, int]:
    if family == "distilbert":
        return {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": MAX_TOKENS}
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    if family == "roberta":  # counts positions from behind the padding id, and has one token type
        special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
        return {**sizes, **special, "max_position_embeddings": MAX_TOKENS + 1, "type_vocab_size": 1}
    return {**sizes, "max_position_embeddings": MAX_TOKENS}
