"""A saved model that retrieves as a folder that `sentence-transformers` opens; written by us, that package is not needed.

The pooling layer of the saved form (models/layout.py) makes every token the text's normalised mean, so the folder is that
form without its classifier, mean pooling and a normalisation to length 1: its cosines are those of the index.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tunewright.core.files import read_json, write_json, write_text
from tunewright.models.processor import Processor
from tunewright.models.saved import MARK

MODULES = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
OF_CLASSIFIERS = ("id2label", "label2id", "problem_type", "num_labels", MARK)  # in config.json


def save_encoder(model: Path, processor: Processor, folder: Path) -> None:
    """Write `folder` beside the plain saved form in `model`, whose weights it shares where the file system has links.

    The prefixes of queries and documents become its prompts "query" and "document".
    """
    folder.mkdir(parents=True)
    _link(model / "model.safetensors", folder / "model.safetensors")
    config = read_json(model / "config.json")
    write_json(folder / "config.json", {k: v for k, v in config.items() if k not in OF_CLASSIFIERS})
    write_text(folder / "tokenizer.json", processor.plain_tokenizer().to_str())
    shutil.copyfile(model / "tokenizer_config.json", folder / "tokenizer_config.json")
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (path, kind) in enumerate(MODULES)
    ]
    write_json(folder / "modules.json", modules)
    window = {"max_seq_length": processor.max_tokens, "do_lower_case": False}
    write_json(folder / "sentence_bert_config.json", window)
    for path, _ in MODULES[1:]:
        (folder / path).mkdir()
    pooling = {"word_embedding_dimension": config["hidden_size"], "pooling_mode_mean_tokens": True}
    write_json(folder / "1_Pooling" / "config.json", pooling)
    write_json(folder / "2_Normalize" / "config.json", {})
    prompts = {"query": processor.prefix, "document": processor.documents.prefix}
    about = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    write_json(folder / "config_sentence_transformers.json", {"__version__": {}, **about})


def _link(source: Path, target: Path) -> None:
    """The same bytes under two names; a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
