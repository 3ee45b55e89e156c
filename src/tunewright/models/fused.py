"""Steps of an encoder on rows of tokens without padding, forward and backward: by compiled kernels, or by PyTorch.

Rows are the real tokens of several texts, one text behind the other. The kernels serve float32 and bfloat16 on a CPU; all
other numbers, and machines without them, take the PyTorch form, which is as exact and slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from tunewright.kernels.library import library

FORMS = {torch.float32: "f32", torch.bfloat16: "bf16"}


def linear(rows: Tensor, weight: Tensor, bias: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """rows (tokens, inputs) · weightᵀ + bias → (tokens, outputs), in the rows' precision.

    weight (outputs, inputs) and bias (outputs,) are what `parameters` hold, in the rows' precision: all weights, one
    below the other, then all biases. The parameters receive the gradients in their own precision.
    """
    return _Linear.apply(rows, weight, bias, *parameters)


def low_rank(rows: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
    """scale · (rows (tokens, inputs) · downᵀ) · upᵀ → (tokens, outputs), in the rows' precision, as is all that is kept."""
    narrow = functional.linear(rows, down.to(rows.dtype))
    return functional.linear(narrow * scale, up.to(rows.dtype))


def attention(fused: Tensor, offsets: Tensor, heads: int) -> Tensor:
    """Softmax attention of every text to itself (Vaswani et al. 2017, section 3.2): (tokens, 3 · hidden) → (tokens, hidden).

    fused: queries, keys and values side by side; offsets (texts + 1,): each text's first row, and the end.
    """
    if _has_kernels(fused):
        return _Attention.apply(fused, offsets, heads)
    return _padded_attention(fused, offsets, heads)


def add_norm(rows: Tensor, residual: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Layer normalisation (Ba et al. 2016) of the sum of two (tokens, hidden), in their precision, computed in float32."""
    if _has_kernels(rows) and norm.weight.dtype == torch.float32:
        return _AddNorm.apply(rows, residual, norm.weight, norm.bias, norm.eps)
    weight, bias = norm.weight.to(rows.dtype), norm.bias.to(rows.dtype)
    return functional.layer_norm(rows + residual, norm.normalized_shape, weight, bias, norm.eps)


def _has_kernels(rows: Tensor) -> bool:
    return rows.device.type == "cpu" and rows.dtype in FORMS and library() is not None


def _call(name: str, like: Tensor, *arguments: Any) -> None:
    """Call a kernel in the form for `like`'s numbers; tensors are passed as addresses, and the thread count comes last."""
    passed = [value.data_ptr() if isinstance(value, Tensor) else value for value in arguments]
    getattr(library(), f"{name}_{FORMS[like.dtype]}")(*passed, torch.get_num_threads())


class _Linear(Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(rows if any(ctx.needs_input_grad[3:]) else None, weight)
        half = len(parameters) // 2
        ctx.sizes = [parameter.shape[0] for parameter in parameters[:half]]
        ctx.dtype = parameters[0].dtype
        return functional.linear(rows, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        to_rows = gradient @ weight if ctx.needs_input_grad[0] else None
        wanted = ctx.needs_input_grad[3:]
        to_weights: Sequence[Tensor | None] = [None] * len(wanted)
        if any(wanted):
            whole = (gradient.T @ rows).to(ctx.dtype)
            both = [*whole.split(ctx.sizes), *_sum_rows(gradient, ctx.dtype).split(ctx.sizes)]
            to_weights = [value if needed else None for value, needed in zip(both, wanted, strict=True)]
        return to_rows, None, None, *to_weights


def _sum_rows(rows: Tensor, dtype: torch.dtype) -> Tensor:
    if not _has_kernels(rows) or dtype != torch.float32:
        return rows.sum(dim=0, dtype=dtype)
    result = torch.empty(rows.shape[1])
    _call("sum_rows", rows, rows, result, *rows.shape)
    return result


class _Attention(Function):
    @staticmethod
    def forward(ctx: Any, fused: Tensor, offsets: Tensor, heads: int) -> Tensor:
        tokens, width = fused.shape[0], fused.shape[1] // 3
        fused = fused.contiguous()
        out = fused.new_empty(tokens, width)
        normaliser = torch.empty(tokens, heads, 2)  # largest score, and one over the sum of exponentials
        _call(
            "attention_forward", fused, fused, out, normaliser, offsets, len(offsets) - 1, heads, width // heads
        )  # fmt: skip
        ctx.save_for_backward(fused, out, normaliser, offsets)
        ctx.heads = heads
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        fused, out, normaliser, offsets = ctx.saved_tensors
        result = torch.empty_like(fused)
        sizes = (len(offsets) - 1, ctx.heads, out.shape[1] // ctx.heads)
        _call("attention_backward", fused, fused, out, gradient.contiguous(), normaliser, result, offsets, *sizes)
        return result, None, None


def _padded_attention(fused: Tensor, offsets: Tensor, heads: int) -> Tensor:
    """The same by PyTorch's products, on texts padded to the longest."""
    lengths = offsets.diff()
    texts, longest = len(lengths), int(lengths.max())
    real = torch.arange(longest, device=fused.device) < lengths[:, None]
    places = real.flatten().nonzero().squeeze(1)
    padded = fused.new_zeros(texts * longest, fused.shape[1]).index_copy(0, places, fused)
    q, k, v = padded.view(texts, longest, 3, heads, -1).permute(2, 0, 3, 1, 4)
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    scores = scores.masked_fill(~real[:, None, None], torch.finfo(scores.dtype).min)
    mixed = (scores.softmax(dim=-1) @ v).transpose(1, 2)
    return mixed.reshape(texts * longest, -1).index_select(0, places)


class _AddNorm(Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, residual: Tensor, scale: Tensor, shift: Tensor, epsilon: float) -> Tensor:
        rows, residual = rows.contiguous(), residual.contiguous()
        total, out, statistics = torch.empty_like(rows), torch.empty_like(rows), torch.empty(len(rows), 2)
        _call("norm_forward", rows, rows, residual, scale, shift, total, out, statistics, *rows.shape, epsilon)
        ctx.save_for_backward(total, statistics, scale)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        total, statistics, scale = ctx.saved_tensors
        result, to_scale, to_shift = torch.empty_like(total), torch.zeros_like(scale), torch.zeros_like(scale)
        gradient = gradient.contiguous()
        _call("norm_backward", total, gradient, total, statistics, scale, result, to_scale, to_shift, *total.shape)
        return result, result, to_scale, to_shift, None
