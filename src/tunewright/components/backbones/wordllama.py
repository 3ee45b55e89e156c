"""WordLlama: static English word embeddings, 256 wide; no layers, thousands of texts a second, less accurate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tunewright.core.contracts import Backbone, BackboneFacts
from tunewright.core.files import write_json, write_text
from tunewright.models.packaged import converted, package_file

WEIGHTS = "wordllama/weights/l2_supercat_256.safetensors"
WEIGHTS_DIGEST = "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5"
TOKENIZER = "wordllama/tokenizers/l2_supercat_tokenizer_config.json"
TOKENIZER_DIGEST = "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68"
CONVERSION = 1  # raise it when `convert` writes anything else, so that older caches are left aside
END = "<pad>"


@dataclass(frozen=True)
class WordLlama(Backbone):
    """The 256 most telling dimensions of WordLlama's table, with its Llama 2 tokenizer."""

    facts = BackboneFacts(languages=("en",), licence="MIT", source="wordllama==0.4.0.post1")

    def folder(self) -> Path:
        """See Backbone.folder."""
        weights = package_file(self.facts.source, WEIGHTS, WEIGHTS_DIGEST)
        tokenizer = package_file(self.facts.source, TOKENIZER, TOKENIZER_DIGEST)
        name = f"wordllama-{WEIGHTS_DIGEST[:12]}-{CONVERSION}"
        return converted(name, lambda folder: convert(weights, tokenizer, folder))


def convert(weights: Path, tokenizer: Path, folder: Path) -> None:
    """Write the table as a static encoder's folder.

    Every text ends with one more piece whose vector is zero: an empty text has a token too, and the mean over tokens
    keeps the direction that the package's own mean has.
    """
    import numpy as np
    from safetensors.numpy import load_file, save_file
    from tokenizers import Tokenizer, processors

    (table,) = load_file(weights).values()
    table = np.vstack([table, np.zeros((1, table.shape[1]), table.dtype)]).astype(np.float32)
    save_file({"embeddings.weight": table}, folder / "model.safetensors", metadata={"format": "pt"})
    pieces = Tokenizer.from_file(str(tokenizer))
    pieces.add_special_tokens([END])
    pieces.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[(END, pieces.token_to_id(END))]
    )
    write_text(folder / "tokenizer.json", pieces.to_str())
    described = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": END, "unk_token": "<unk>"}
    write_json(folder / "tokenizer_config.json", {**described, "model_max_length": 8192})
    sizes = {"vocab_size": len(table), "hidden_size": table.shape[1], "pad_token_id": len(table) - 1}
    write_json(folder / "config.json", {"model_type": "static", **sizes})
