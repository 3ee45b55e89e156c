import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models

from tunewright.core.errors import ModelError
from tunewright.core.files import write_json
from tunewright.models.neighbours import Neighbours

WORDS = ("喜欢", "喜爱", "喜歡", "讨厌", "电影", "电影院", "好", "film", "▁影片")
VECTORS = ((9, 1, 0), (9, 2, 0), (9, 1, 0), (-5, 9, 0), (0, 0, 9), (0, 0, 9), (9, 1, 0), (0, 0, 9), (0, 1, 9))


@pytest.fixture
def folder(tmp_path):
    table = np.array(VECTORS, dtype=np.float32)
    save_file({"embeddings.weight": table}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    pieces = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="好"))
    pieces.save(str(tmp_path / "tokenizer.json"))
    sizes = {"vocab_size": len(table), "hidden_size": 3, "pad_token_id": 0}
    write_json(tmp_path / "config.json", {"model_type": "static", **sizes})
    return str(tmp_path)


def test_neighbours_are_near_of_the_same_length_and_in_the_same_characters(folder):
    neighbours = Neighbours(folder, 0.6)
    assert neighbours.synonyms("喜欢") == ("喜爱",)
    assert neighbours.synonyms("电影") == ("影片",)
    assert neighbours.synonyms("电影院") == () == neighbours.synonyms("飞机")


def test_what_is_less_alike_than_asked_is_no_neighbour(folder):
    assert Neighbours(folder, 1.0).synonyms("喜欢") == ()


def test_a_vocabulary_without_chinese_words_is_told(tiny_backbone):
    with pytest.raises(ModelError, match="holds no Chinese words of two characters or more"):
        Neighbours(str(tiny_backbone), 0.4)
