"""Tensors that several models share: what is kept of one is its difference, and the whole comes back."""

import numpy as np
import pytest

from tunewright.models.shared import difference, restored

RANDOM = np.random.default_rng(0)


def matrix(*shape: int) -> np.ndarray:
    return RANDOM.normal(scale=0.05, size=shape).astype(np.float32)


SHARED = matrix(96, 40)


@pytest.mark.parametrize(
    ("kinds", "made"),
    [
        (set(), SHARED.copy()),
        ({"up", "down"}, SHARED + matrix(96, 3) @ matrix(3, 40)),
        ({"rows"}, SHARED * RANDOM.uniform(0.5, 2, (96, 1)).astype(np.float32)),
        ({"columns"}, SHARED * RANDOM.uniform(0.5, 2, 40).astype(np.float32)),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_what_a_method_has_added_is_found_and_gives_the_tensor_back(kinds, made, turned):
    shared, made = (SHARED.T, made.T) if turned else (SHARED, made)
    turned_kinds = {{"rows": "columns", "columns": "rows"}.get(kind, kind) if turned else kind for kind in kinds}
    made = np.ascontiguousarray(made)
    parts = difference(made, shared)
    assert set(parts) - {"steps"} == turned_kinds
    assert {name: part.shape for name, part in parts.items() if name in ("up", "down")} in (
        {},
        {"up": (len(shared), 3), "down": (3, shared.shape[1])},
    )
    np.testing.assert_array_equal(restored(shared, parts).view(np.int32), made.view(np.int32))


@pytest.mark.parametrize(
    "made",
    [matrix(96, 40), SHARED + matrix(96, 20) @ matrix(20, 40), SHARED + np.eye(96, 40, dtype=np.float32) / 100],
    ids=["another", "of half the rank", "in the first rows alone"],
)
def test_what_is_of_no_low_rank_is_kept_whole(made):
    assert difference(made, SHARED) is None


@pytest.mark.parametrize("scale", [1e-9, 1e-6, 1.0, 1e6])
def test_no_bit_is_lost_whatever_the_size_of_what_was_added(scale):
    made = SHARED + np.float32(scale) * matrix(96, 2) @ matrix(2, 40)
    made[0, :3] = 0.0, -0.0, -SHARED[0, 2]
    parts = difference(made, SHARED)
    if parts is not None:  # at either end rounding leaves no product to be found
        np.testing.assert_array_equal(restored(SHARED, parts).view(np.int32), made.view(np.int32))
    assert parts is not None or scale in (1e-9, 1e6)


def test_vectors_are_the_same_or_kept_whole():
    vector = matrix(1, 40)[0]
    assert difference(vector, vector.copy()) == {}
    assert difference(vector + 1, vector) is None
