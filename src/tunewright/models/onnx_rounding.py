"""Round an fp32 ONNX network to 8-bit integers: activations by what each batch holds, or by ranges measured beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.core.numeric import spread
from tunewright.models.batches import Features, padded
from tunewright.models.onnx import open_onnx, session
from tunewright.models.onnx_files import last_product

DYNAMIC = "DynamicQuantizeLinear"  # the step that rounds activations by what they hold
LEVELS = 255  # that an activation is rounded to
RANGED, WEIGHED = 512, 32  # windows that ranges are measured on, and that each product is weighed on


def round_dynamic(file: Path, target: Path) -> None:
    """Weights to 8-bit integers, a scale for each output; activations are rounded while it computes. The last product, that of
    the head, stays in fp32: it is little work, and most of what rounding costs (151 intents: 0.5% of the weights; the mean squared difference of
    logits is 0.024 without it, 0.120 with it).

    Of the weights 7 bits are used: without VNNI instructions, products of two pairs are added in 16 bits, and 8 would
    overflow there. So every CPU gives about the same numbers.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    last = last_product(onnx.load(str(file), load_external_data=False))
    quantize_dynamic(
        file,
        target,
        nodes_to_exclude=[last.name, f"{last.name}_MatMul"] if last is not None else [],  # it first splits off the bias
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        extra_options={"DefaultTensorType": 1},  # float, where the type of a fused step's result is not known
    )


def round_static(file: Path, target: Path, windows: Sequence[Features], pad_id: int, full: float) -> None:
    """As `round_dynamic`, but with the ranges that activations have in these windows: a text's answer does not depend on
    the texts beside it, and what lies outside of its range is cut off.

    full: about this share of the multiplications stays in fp32: of the products that rounding moves outputs most by, each
    for its size.
    """
    import onnx

    round_dynamic(file, target)
    exact, rounded = onnx.load(str(file)), onnx.load(str(target))
    products = list(_products(exact, rounded))
    ranges = _ranges(file, [one.read for one in products], [windows[place] for place in spread(len(windows), RANGED)])
    _fix(rounded, ranges)
    if full:
        gains = _weighed(file, products, exact, rounded, windows, pad_id)
        for one in _chosen(products, gains, full):
            _give_back(one, exact, rounded)
    onnx.save(rounded, str(target))


@dataclass(frozen=True)
class _Product:
    """A product with weights in the exact graph. read: the tensor that is rounded for it; gives: what it gives; work: how many
    weights each token is multiplied with."""

    read: str
    gives: str
    work: int


def _products(exact: Any, rounded: Any) -> Iterator[_Product]:
    """The exact graph's steps in whose place the rounded one has several, of which one rounds activations."""
    sizes = {one.name: int(np.prod(one.dims)) for one in exact.graph.initializer}
    reads = {node.input[0] for node in rounded.graph.node if node.op_type == DYNAMIC}
    kept = {(node.op_type, *node.output) for node in rounded.graph.node}
    for node in exact.graph.node:
        if node.input and node.input[0] in reads and (node.op_type, *node.output) not in kept:
            yield _Product(node.input[0], node.output[0], max(sizes.get(name, 0) for name in node.input))


def _ranges(file: Path, names: Sequence[str], windows: Sequence[Features]) -> dict[str, tuple[float, float]]:
    """Each tensor's least and largest value in windows that are read alone, without padding; 0 lies within."""
    import onnx

    model, names = onnx.load(str(file)), list(dict.fromkeys(names))
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    opened = session(model.SerializeToString())
    inputs = [one.name for one in opened.get_inputs()]
    ends = np.zeros((len(names), 2))
    for window in windows:
        batch = padded([window], pad_id=0)
        for end, values in zip(ends, opened.run(names, {name: batch[name] for name in inputs}), strict=True):
            end[:] = min(end[0], values.min()), max(end[1], values.max())
    return {name: (float(low), float(high)) for name, (low, high) in zip(names, ends, strict=True)}


def _fix(rounded: Any, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Put fixed scales in the place of measured ones."""
    from onnx import numpy_helper

    for node in rounded.graph.node:
        if node.op_type == DYNAMIC:
            low, high = ranges[node.input[0]]
            scale = np.float32(max(high - low, 1e-6) / LEVELS)
            zero = np.uint8(np.clip(np.rint(-low / scale), 0, LEVELS))
            _, scale_name, zero_name = node.output
            rounded.graph.initializer.append(numpy_helper.from_array(np.array(scale), scale_name))
            rounded.graph.initializer.append(numpy_helper.from_array(np.array(zero), zero_name))
            del node.output[1:]
            node.input.extend([scale_name, zero_name])
            node.op_type, node.domain = "QuantizeLinear", ""


_last: dict[tuple[str, int], list[float]] = {}  # what `_weighed` found last: it is asked again for other shares


def _weighed(
    file: Path, products: Sequence[_Product], exact: Any, rounded: Any, windows: Sequence[Features], pad_id: int
) -> list[float]:
    """How much nearer to the exact graph's the outputs of some windows come when a product is given back: by how much the mean
    squared difference shrinks."""
    import onnx

    some = [windows[place] for place in spread(len(windows), WEIGHED)]
    key = str(file), hash(tuple(window["input_ids"].tobytes() for window in some))
    if key not in _last:
        expected = open_onnx(file, pad_id)(some)

        def error(model: Any) -> float:
            found = open_onnx(model.SerializeToString(), pad_id)(some)
            return float(np.mean([np.square(one - other).mean() for one, other in zip(found, expected, strict=True)]))

        whole, gains = error(rounded), []
        for one in products:
            without = onnx.ModelProto()
            without.CopyFrom(rounded)
            _give_back(one, exact, without)
            gains.append(whole - error(without))
        _last.clear()
        _last[key] = gains
    return _last[key]


def _chosen(products: Sequence[_Product], gains: Sequence[float], full: float) -> list[_Product]:
    """Those that gain most for each weight, as many as fit into the share `full` of all weights; one at least."""
    left, chosen = full * sum(one.work for one in products), []
    order = np.argsort([-gain / one.work for gain, one in zip(gains, products, strict=True)], kind="stable")
    for place in order:
        if gains[place] > 0 and (not chosen or products[place].work <= left):
            chosen.append(products[place])
            left -= products[place].work
    return chosen


def _give_back(product: _Product, exact: Any, rounded: Any) -> None:
    """Put the exact graph's step in the place of those that the rounded one has between what it reads and what it gives."""
    nodes = list(rounded.graph.node)
    made_by = {name: place for place, node in enumerate(nodes) for name in node.output}
    shared = {name for node in exact.graph.node for name in node.output}
    [original] = [node for node in exact.graph.node if product.gives in node.output]
    between, waiting = [], [product.gives]
    while waiting:
        place = made_by.get(waiting.pop())
        if place is not None and place not in between:
            between.append(place)
            waiting.extend(name for name in nodes[place].input if name not in shared)
    nodes[made_by[product.gives]] = original
    between.remove(made_by[product.gives])
    for place in sorted(between, reverse=True):  # those that read others' results come behind them
        read = {name for node in nodes if node is not None for name in node.input}
        if not read.intersection(nodes[place].output):
            nodes[place] = None
    del rounded.graph.node[:]
    rounded.graph.node.extend(node for node in nodes if node is not None)
    _weights(exact, rounded)


def _weights(exact: Any, rounded: Any) -> None:
    """Keep the weights that the rounded graph's steps read, and take those it lacks from the exact one."""
    read = {name for node in rounded.graph.node for name in node.input}
    read -= {name for node in rounded.graph.node for name in node.output}
    found = {one.name: one for graph in (exact.graph, rounded.graph) for one in graph.initializer if one.name in read}
    kept = [found[name] for name in sorted(found)]
    del rounded.graph.initializer[:]
    rounded.graph.initializer.extend(kept)
