"""Encoded windows come back from disk as they went in, padded to the longest of a batch."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.core.errors import DamagedFile
from tunewright.core.types import Window
from tunewright.training.encoded import open_encoded, write_encoded


def window(index, ids, labels):
    ids = np.array(ids, dtype=np.int32)
    features = {"input_ids": ids, "attention_mask": np.ones_like(ids), "labels": labels}
    return Window(index, features, tokens=len(ids))


def test_windows_are_padded_with_the_pad_id_and_masked(tmp_path):
    encoded = write_encoded([window(0, [5, 6, 7], np.int64(1)), window(0, [8], np.int64(0))], tmp_path / "e", pad_id=9)
    batch = open_encoded(tmp_path / "e").batch(np.array([1, 0]))
    assert batch["input_ids"].tolist() == [[8, 9, 9], [5, 6, 7]]
    assert batch["attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert batch["labels"].tolist() == [0, 1]
    assert encoded.lengths.tolist() == [3, 1] and encoded.ids(np.array([0, 1])) == [0]


def test_token_labels_are_padded_with_the_ignored_label(tmp_path):
    encoded = write_encoded([window(0, [1, 2], np.array([0, 1])), window(1, [3], np.array([2]))], tmp_path / "e", 0)
    assert encoded.batch(np.array([0, 1]))["labels"].tolist() == [[0, 1], [2, -100]]


def test_marks_on_both_outputs_of_tokens_are_padded_as_nowhere(tmp_path):
    marks = [np.array([[1, 0], [0, 1], [-100, -100]], dtype=np.float32), np.array([[1, 1]], dtype=np.float32)]
    encoded = write_encoded([window(0, [1, 2, 3], marks[0]), window(1, [4], marks[1])], tmp_path / "e", 0)
    found = encoded.batch(np.array([1, 0]))["labels"]
    assert found.dtype == np.float32
    assert found.tolist() == [[[1, 1], [-100, -100], [-100, -100]], [[1, 0], [0, 1], [-100, -100]]]
    (tmp_path / "e" / "labels.bin").write_bytes(b"\0" * 8)
    with pytest.raises(DamagedFile, match=r"labels\.bin was cut off"):
        open_encoded(tmp_path / "e")


def test_windows_read_one_by_one_are_those_that_were_written(tmp_path):
    labels = [np.array([0.0, 1.0], dtype=np.float32), np.array([1.0, 1.0], dtype=np.float32)]
    written = [window(3, [1, 2, 3], labels[0]), window(5, [4], labels[1])]
    found = list(write_encoded(written, tmp_path / "e", pad_id=0))
    assert [(one.example, one.tokens) for one in found] == [(3, 3), (5, 1)]
    for one, other in zip(found, written, strict=True):
        assert {name: value.tolist() for name, value in one.features.items()} == {
            name: value.tolist() for name, value in other.features.items()
        }
    again = write_encoded(found, tmp_path / "again", pad_id=0)
    assert again.batch(np.array([0, 1]))["input_ids"].tolist() == [[1, 2, 3], [4, 0, 0]]


def test_several_labels_at_once_keep_their_shape_and_type(tmp_path):
    labels = np.array([0.0, 1.0, 1.0], dtype=np.float32)
    encoded = write_encoded([window(0, [1, 2, 3], labels)], tmp_path / "e", pad_id=0)
    found = encoded.batch(np.array([0]))["labels"]
    assert found.dtype == np.float32 and found.tolist() == [labels.tolist()]


def test_windows_that_were_cut_off_are_not_trained_on(tmp_path):
    write_encoded([window(0, [5, 6, 7], np.int64(1))], tmp_path / "e", pad_id=0)
    (tmp_path / "e" / "input_ids.bin").write_bytes(b"\0" * 8)
    with pytest.raises(DamagedFile, match=r"input_ids\.bin was cut off\. Remove .*e: it is written anew"):
        open_encoded(tmp_path / "e")
