"""Compile a table of characters' normal forms into the trie that the `tokenizers` library runs."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping

import numpy as np

BLOCK = 256  # a node's children lie in its block, as their places differ from its base in the low 8 bits only
LEAF = 1 << 31
HAS_LEAF = 1 << 8


def precompiled(forms: Mapping[str, str]) -> bytes:
    """`forms`: character → what it becomes ("" removes it); for `tokenizers.normalizers.Precompiled`.

    Layout: size of the trie in bytes (uint32), the trie, the forms ended by NUL. The trie is a double array after
    Aoe (1989) as darts-clone packs it: a unit holds its label (bits 0–7), whether its key ends (bit 8), and the XOR of
    its place and its children's base (from bit 10); a key's end holds where its form starts.
    """
    starts, ends = {}, bytearray()
    for character, form in forms.items():
        starts[character.encode("utf-8")] = len(ends)
        ends += form.encode("utf-8") + b"\0"
    trie = _double_array(starts).astype("<u4").tobytes()
    return len(trie).to_bytes(4, "little") + trie + bytes(ends)


def _double_array(values: Mapping[bytes, int]) -> np.ndarray:
    root: dict[int, dict] = {}
    for key, value in values.items():
        node = root
        for byte in key:
            node = node.setdefault(byte, {})
        node[0] = value  # 0 is no byte of a key: it marks the key's end
    units, used, bases = [0] * BLOCK, {0}, {0}
    tried: dict[tuple[int, ...], int] = {}  # places only fill up: what was refused to a set of children stays refused
    waiting = deque([(0, root)])
    while waiting:
        place, node = waiting.popleft()
        free = itertools.count(tried.get(tuple(node), 1))
        base = next(b for b in free if b not in bases and used.isdisjoint([b ^ key for key in node]))
        tried[tuple(node)] = base + 1
        bases.add(base)
        units.extend([0] * (base // BLOCK * BLOCK + BLOCK - len(units)))
        units[place] |= (place ^ base) << 10 | (HAS_LEAF if 0 in node else 0)
        for key, child in node.items():
            used.add(base ^ key)
            units[base ^ key] = child | LEAF if key == 0 else key
            if key:
                waiting.append((base ^ key, child))
    return np.array(units, dtype=np.uint32)
