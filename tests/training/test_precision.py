"""Precision and device are chosen by what is there and what a measurement says; a GPU is faked here."""

from __future__ import annotations

import pytest
import torch

from tunewright.core.errors import MachineError
from tunewright.training import precision


def test_a_wanted_precision_is_taken_without_measuring():
    assert precision.choose_precision("fp32", "cpu", lambda: pytest.fail("measured"))[0] == "fp32"


@pytest.mark.parametrize(("ratio", "expected"), [(3.0, "bf16"), (1.02, "fp32"), (0.5, "fp32")])
def test_auto_takes_bf16_on_a_cpu_only_where_it_measures_faster(monkeypatch, ratio, expected):
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    monkeypatch.setattr(precision, "_seconds", lambda step, device, name: ratio if name == "fp32" else 1.0)
    chosen, why = precision.choose_precision("auto", "cpu", lambda: None)
    assert chosen == expected and "measured" in why.en and "实测" in why.zh


@pytest.mark.parametrize(("ratios", "steps", "expected"), [([9, 2, 9, 9], 4, 2), ([9, 1.2, 1.0, 1.1], 8, 1.1)])
def test_a_clear_ratio_is_measured_once_and_a_close_one_three_times(monkeypatch, ratios, steps, expected):
    seconds = iter([time for ratio in ratios for time in (ratio, 1.0)])
    measured = []
    monkeypatch.setattr(precision, "_seconds", lambda *_: measured.append(1) or next(seconds))
    assert precision._times_as_fast(lambda: None, "cpu") == expected
    assert len(measured) == steps


def test_a_cpu_without_bf16_instructions_computes_in_fp32(monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    assert precision.choose_precision("auto", "cpu", lambda: None)[0] == "fp32"


@pytest.mark.parametrize(("bf16", "expected"), [(True, "bf16"), (False, "fp16")])
def test_a_gpu_uses_bf16_where_it_has_it_and_fp16_otherwise(monkeypatch, bf16, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
    assert precision.choose_precision("auto", "cuda", lambda: None)[0] == expected


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert precision.choose_device("auto") == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert precision.choose_device("auto") == "cpu"


def test_a_device_that_is_not_there_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MachineError, match=r"train\.device is cuda.*Try device: auto"):
        precision.choose_device("cuda")


def test_compiling_without_a_compiler_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.setattr(precision, "compiler", lambda: None)
    for engine, device in (("auto", "cpu"), ("plain", "cpu"), ("compiled", "cuda")):
        precision.check_engine(engine, device)
    with pytest.raises(MachineError, match=r"train\.engine is compiled.*Install g\+\+"):
        precision.check_engine("compiled", "cpu")


def test_threads_are_put_back_afterwards():
    before = torch.get_num_threads()
    with precision.threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
