"""Whatever JSON an input is, a task reads it or says what is wrong: none meets a defect."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from tunewright.core import catalog
from tunewright.core.errors import TunewrightError
from tunewright.predict.predictor import Predictor
from tunewright.serve.limits import Limits, RequestError
from tunewright.serve.metrics import Metrics
from tunewright.serve.repository import Repository
from tunewright.serve.service import Service

ODD = ["a", "", None, 7, 1e308, True, [], ["a"], [0, 10**30], {}, {"text": 1}, {"start": 0, "end": 1}, {"start": "x", "end": []}, [{"start": -5, "end": 99}], [[["a"]]]]  # fmt: skip
INNER = {"tasks": {"first": catalog.create("tasks", "text_classification"), "second": catalog.create("tasks", "question_answering")}}  # fmt: skip


@pytest.mark.parametrize("name", catalog.names("tasks"))
def test_every_task_reads_odd_values_or_says_what_is_wrong(name):
    try:
        task = catalog.create("tasks", name)
    except TypeError:  # it is made of tasks
        task = catalog.find("tasks", name)(**INNER)
    predictor = object.__new__(Predictor)
    predictor.bundle = SimpleNamespace(task=task)
    version = SimpleNamespace(bundle=predictor.bundle, predictor=predictor)
    service = Service(Repository(Limits()), limits=Limits(), metrics=Metrics())
    roles = task.inputs[:3]
    items = [*ODD, *(dict(zip(roles, values, strict=True)) for values in itertools.product(ODD, repeat=len(roles)))]
    read = 0
    for item in items:
        try:
            example = service._example(version, item, 0)
            read += not isinstance(example, str)
        except (TunewrightError, RequestError) as error:
            assert len(str(error)) < 1000
    assert read
