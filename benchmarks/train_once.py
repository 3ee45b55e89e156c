"""One variant of training, measured in this very process: what train_speed.py and scaling.py start, again and again.

    python benchmarks/train_once.py '{"task": "trec6", "variant": "ours", "data": "…", "examples": 512, …}'

Prints one JSON object: tokens (real ones), cpu_seconds, wall_seconds, peak_memory_mib, and prepare_cpu_seconds from the rows
to the first step. Each function that bears a variant's
name is a plain use of its library; every step from the end of the warm-up on is measured, and nothing else.
"""

from __future__ import annotations

import csv
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
import transformers.models.bert.modeling_bert  # noqa: F401 - a library's memory, not that of the network
from harness import ROOT, Clock
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from tunewright.core.files import read_json, write_json
from tunewright.models import surgery
from tunewright.models.locate import Located, locate

WORK = ROOT / "build" / "benchmarks"
BATCH = 16  # examples a step of the peers
TEXTBOOK_TOKENS = 128  # what the textbook script pads to
MAX_TOKENS = 256  # of all others
LEARNING_RATE = 2e-5  # no step is faster or slower for it
PRODUCT_SECONDS = 0.05  # of one measurement of a matrix product; the fastest of REPEATS counts
REPEATS = 5


@dataclass(frozen=True)
class Task:
    """A data set with the columns that make its text, and the backbone for it."""

    data: str
    columns: tuple[str, ...]
    backbone: str  # a packaged one, or bert_base


TASKS = {
    "ag_news": Task("ag_news", ("title", "text"), "minilm-l6-en"),
    "trec6": Task("trec6", ("text",), "minilm-l6-en"),
    "sst2": Task("sst2", ("text",), "minilm-l6-en"),
    "clinc150": Task("clinc150", ("text",), "minilm-l6-en"),
    "waimai_10k": Task("waimai_10k", ("text",), "e5-small-multilingual"),
    "bert_base": Task("ag_news", ("title", "text"), "bert_base"),
}


@dataclass(frozen=True)
class Job:
    """What is trained on, and how much of it is measured."""

    located: Located
    rows: list[tuple[str, str]]  # text, label
    labels: list[str]
    warm_up: int  # examples before the clock starts
    examples: int  # examples while it runs

    @property
    def texts(self) -> list[str]:
        """What the peers read: with the prefix that the backbone was trained with."""
        return [self.located.facts.prefix + text for text, _ in self.rows]

    @property
    def targets(self) -> list[int]:
        """Each row's label as a number."""
        return [self.labels.index(label) for _, label in self.rows]

    def clock(self, batch: int = BATCH) -> Clock:
        """Measures `examples`; where that is all rows, the warm-up's are met a second time instead of left out."""
        first = -(-self.warm_up // batch)
        return Clock(first, first + -(-self.examples // batch))


def job(task: Task, data: Path, examples: int, warm_up: int) -> Job:
    """Draw the task's examples.

    They are batches of 16 drawn at random from the plan that `transformers` makes for the whole training set with
    group_by_length, one behind the other, so that a short measurement has the padding of a long one.
    """
    located = bert_base() if task.backbone == "bert_base" else locate(task.backbone)
    rows = _read(task, data)
    drawn = WORK / "drawn" / f"{task.data}-{task.backbone}-{examples}-{len(rows)}.json"
    if not drawn.exists():
        drawn.parent.mkdir(parents=True, exist_ok=True)
        write_json(drawn, _drawn(located, [text for text, _ in rows], examples))
    chosen = [rows[i] for i in read_json(drawn)]
    return Job(located, chosen, sorted({label for _, label in rows}), warm_up, len(chosen))


def _drawn(located: Located, texts: list[str], examples: int) -> list[int]:
    """Rows, batch behind batch. Kept on disk, as what plans them would count in the memory of every variant."""
    from transformers.trainer_pt_utils import LengthGroupedSampler

    tokenizer = AutoTokenizer.from_pretrained(located.folder)
    encoded = tokenizer([located.facts.prefix + text for text in texts], truncation=True, max_length=MAX_TOKENS)
    lengths = [len(ids) for ids in encoded["input_ids"]]
    order = list(LengthGroupedSampler(BATCH, lengths=lengths, generator=torch.Generator().manual_seed(0)))
    starts = range(0, len(order) - BATCH + 1, BATCH)
    chosen = random.Random(0).sample(starts, min(len(starts), examples // BATCH))
    return [i for start in chosen for i in order[start : start + BATCH]]


def repeated_job(task: Task, data: Path, rows: int, length: int, examples: int, warm_up: int) -> Job:
    """The task's texts over and over until there are `rows`, each of them `length` texts one behind the other."""
    found = _read(task, data)
    parts = [[found[(i * length + part) % len(found)] for part in range(length)] for i in range(rows)]
    joined = [(" ".join(text for text, _ in part), part[0][1]) for part in parts]
    return Job(locate(task.backbone), joined, sorted({label for _, label in found}), warm_up, examples)


def _read(task: Task, data: Path) -> list[tuple[str, str]]:
    with open(data / task.data / "train.csv", encoding="utf-8", newline="") as file:
        return [(". ".join(row[name] for name in task.columns), row["label"]) for row in csv.DictReader(file)]


def bert_base() -> Located:
    """A network of BERT-base's shape with random weights, and the tokenizer of its vocabulary; built once."""
    from transformers import BertConfig

    folder, minilm = WORK / "bert_base", locate("minilm-l6-en")
    if not (folder / "tokenizer.json").exists():
        torch.manual_seed(0)
        AutoModel.from_config(BertConfig()).save_pretrained(folder)
        AutoTokenizer.from_pretrained(minilm.folder).save_pretrained(folder)
    return locate(str(folder))


# -------------------------------------------------------------------------------------------------------- the peers


def textbook(job: Job) -> dict[str, Any]:
    """The loop of many tutorials: all texts padded to 128 tokens, fp32, batches of 16 in random order."""
    clock = job.clock()
    clock.opening()
    tokenizer, model = _opened(job)
    inputs = tokenizer(
        job.texts, padding="max_length", truncation=True, max_length=TEXTBOOK_TOKENS, return_tensors="pt"
    )
    dataset = torch.utils.data.TensorDataset(inputs["input_ids"], inputs["attention_mask"], torch.tensor(job.targets))
    loader = torch.utils.data.DataLoader(dataset, batch_size=BATCH, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    with _counting(model, clock) as counts:
        model.train()
        while not clock.stopped:
            for ids, mask, targets in loader:
                model(input_ids=ids, attention_mask=mask, labels=targets).loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                clock.step_done()
                if clock.stopped:
                    break
    return {**clock.values, **counts}


def trainer(job: Job) -> dict[str, Any]:
    """`transformers.Trainer` as it comes: fp32, padded to the longest of a batch, random order; batches of 16."""
    return _by_trainer(job)


def trainer_bf16_grouped(job: Job) -> dict[str, Any]:
    """`Trainer` with its own switches for speed: bf16, and texts of like length together.

    "sequential", as the rows already stand in the batches that "group_by_length" makes for the whole training set. Given
    these few rows, it would group them worse.
    """
    return _by_trainer(job, bf16=True, train_sampling_strategy="sequential")


def _by_trainer(job: Job, **settings: Any) -> dict[str, Any]:
    from transformers import Trainer, TrainerCallback, TrainingArguments

    clock = job.clock()
    clock.opening()
    tokenizer, model = _opened(job)
    inputs = tokenizer(job.texts, truncation=True, max_length=MAX_TOKENS)
    dataset = [
        {**{name: values[i] for name, values in inputs.items()}, "labels": target}
        for i, target in enumerate(job.targets)
    ]

    class Timing(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            clock.prepared()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.step_done()

    with tempfile.TemporaryDirectory() as folder, _counting(model, clock) as counts:
        arguments = TrainingArguments(
            folder,
            max_steps=clock.last,
            per_device_train_batch_size=BATCH,
            learning_rate=LEARNING_RATE,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            **settings,
        )
        Trainer(model, arguments, train_dataset=dataset, processing_class=tokenizer, callbacks=[Timing()]).train()
    return {**clock.values, **counts}


def _opened(job: Job) -> tuple[Any, torch.nn.Module]:
    tokenizer = AutoTokenizer.from_pretrained(job.located.folder)
    return tokenizer, AutoModelForSequenceClassification.from_pretrained(job.located.folder, num_labels=len(job.labels))


@contextmanager
def _counting(model: torch.nn.Module, clock: Clock) -> Iterator[dict[str, int]]:
    """Counts what the model is given while the clock runs: real tokens by the attention mask, and padding with them."""
    counts = {"tokens": 0, "computed_tokens": 0}

    def count(_: Any, __: Any, inputs: dict[str, Any]) -> None:
        if clock.running:
            counts["tokens"] += int(inputs["attention_mask"].sum())
            counts["computed_tokens"] += inputs["input_ids"].numel()

    handle = model.register_forward_pre_hook(count, with_kwargs=True)
    yield counts
    handle.remove()


# ------------------------------------------------------------------------------------------------------------- ours


class _Enough(Exception):
    """The last step that is measured is done."""


class _Steps:
    """Tunewright's Progress: starts and stops the clock by the training loop's own steps."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        if title == "Training":
            self.clock.prepared()
        yield self._step if title == "Training" else lambda count: None
        if title == "Tokenizing train":  # the last thing before the network is opened
            self.clock.opening()

    def say(self, message: str) -> None:
        print(message, file=sys.stderr)

    def _step(self, count: int) -> None:
        if count:
            self.clock.step_done()
        if self.clock.stopped:
            raise _Enough


class _Profiled(_Steps):
    """Adds up where the time goes while the clock runs."""

    shares: ClassVar[dict[str, float]] = {}

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])

    def _step(self, count: int) -> None:
        try:
            super()._step(count)
        finally:
            if count and self.clock.steps == self.clock.first:
                self._profiler.start()
            if self.clock.stopped:
                self._profiler.stop()
                self.shares.update(_shares(self._profiler.key_averages(), self.clock.values["wall_seconds"]))


PARTS = {  # part of a step → how the profiler names what belongs to it
    "products": r"aten::(add)?mm|aten::b?mm|aten::linear|mkldnn|aten::matmul",
    "attention": r"_Attention",
    "normalisation": r"_AddNorm|layer_norm",
    "activation": r"gelu",
    "update": r"^update$",
    "copies": r"copy|aten::cat|contiguous|index|embedding|zero|fill|empty|aten::to|pad|split|add|sum|sparse|unique|coalesce",
}


def _shares(events: Any, seconds: float) -> dict[str, float]:
    """Part of a step → share of its time by the clock; "rest" is Python, autograd's own work, and what no part claims."""
    shares = dict.fromkeys(PARTS, 0.0)
    for event in events:
        part = next((name for name, form in PARTS.items() if re.search(form, event.key)), None)
        if part:
            shares[part] += event.self_cpu_time_total / 1e6 / seconds
    return {**shares, "rest": 1 - sum(shares.values())}


def profile(job: Job) -> dict[str, Any]:
    """Where the time of `ours` goes in a step, part by part of PARTS."""
    from tunewright.training.one_pass import OnePass

    def recorded(function: Callable) -> Callable:
        def call(*arguments: Any) -> Any:
            with torch.profiler.record_function("update"):
                return function(*arguments)

        return call

    for name in ("gradient_norm", "apply", "_catch_up"):
        setattr(OnePass, name, recorded(getattr(OnePass, name)))
    ours(job, steps=_Profiled)
    return _Profiled.shares


def ours(job: Job, changes: dict[str, dict[str, Any]] | None = None, steps: type[_Steps] = _Steps) -> dict[str, Any]:
    """Tunewright with the settings of its recipe, and `changes` to them. No linear probe, no evaluation on the way."""
    from tunewright.core.recipe_file import from_mapping
    from tunewright.engine import local
    from tunewright.training import loop  # noqa: F401 - as above
    from tunewright.training.batching import steps_of_epoch
    from tunewright.training.encoded import open_encoded

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, rows in (("train.csv", job.rows), ("validation.csv", job.rows[:BATCH])):
            with open(folder / file, "w", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerows([("text", "label"), *rows])
        recipe = from_mapping(_recipe(job, folder, changes or {}))
        clock = job.clock(recipe.train.batch_size)
        try:
            local.fit(recipe, folder / "run", steps(clock))
        except _Enough:
            pass
        else:
            raise RuntimeError('The training loop no longer reports its steps as "Training": see _Steps.')
        about = json.loads((folder / "run/run.json").read_text("utf-8"))
        lengths = open_encoded(folder / "run/encoded").lengths
    if len(lengths) != len(job.rows):
        raise RuntimeError(f"{len(job.rows)} rows became {len(lengths)} windows: the variants would differ.")
    plan = [step for epoch in (0, 1) for step in steps_of_epoch(lengths, recipe.train.batch_size, recipe.seed, epoch)]
    tokens = sum(int(lengths[step].sum()) for step in plan[clock.first : clock.last])
    precision = about["decided"]["train.precision"][0]
    return {**clock.values, "tokens": tokens, "precision": precision, "kernels": about["kernels"]}


def ours_from_probe(job: Job) -> dict[str, Any]:
    """The same from the head's usual start, a linear probe on the features of all rows: what has to be ready by then."""
    return ours(job, {"train": {"start": "probe"}})


def ours_same_batch(job: Job) -> dict[str, Any]:
    """The same with the peers' batch size."""
    return ours(job, {"train": {"batch_size": BATCH}})


def ours_frozen_words(job: Job) -> dict[str, Any]:
    """The same with the vectors of the vocabulary left as they are."""
    return ours(job, {"model": {"word_embeddings": "freeze"}})


def ours_trained_words(job: Job) -> dict[str, Any]:
    """The same where they are frozen by default, as they are trained by the peers."""
    return ours(job, {"model": {"word_embeddings": "train"}})


def ours_lora(job: Job) -> dict[str, Any]:
    """The same with LoRA in place of full fine-tuning."""
    import peft  # noqa: F401 - as above

    return ours(job, {"train": {"method": "lora"}})


def ours_linear_probe(job: Job) -> dict[str, Any]:
    """The same with the backbone frozen."""
    return ours(job, {"train": {"method": "linear_probe"}})


def ours_plain(job: Job) -> dict[str, Any]:
    """The reference: the network of `transformers` and torch's optimizer in fp32, by the same loop."""
    return ours(job, {"train": {"engine": "plain", "precision": "fp32"}})


def ours_masked(job: Job) -> dict[str, Any]:
    """The same; train_speed.py hides the instructions for bf16 from the library of matrix products."""
    return ours(job)


def ours_no_kernels(job: Job) -> dict[str, Any]:
    """The same; train_speed.py sets TUNEWRIGHT_KERNELS=off."""
    return ours(job)


def _recipe(job: Job, folder: Path, changes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    recipe: dict[str, Any] = {
        "task": "text_classification",
        "data": {
            "train": str(folder / "train.csv"),
            "validation": str(folder / "validation.csv"),
            "columns": {"text": "text", "label": "label"},
            "labels": job.labels,
            "max_tokens": MAX_TOKENS,
            "overflow": "truncate",  # as the peers do
            "leakage": "keep",
        },
        "model": {"backbone": job.located.name},
        "train": {"start": "random", "epochs": 2, "evaluate_every": 100, "threads": torch.get_num_threads()},
    }
    return {**recipe, **{section: {**recipe[section], **values} for section, values in changes.items()}}


# -------------------------------------------------------------------------------------------------------- the floor


def floor(job: Job) -> dict[str, Any]:
    """What the machine can do at best: the layers' matrix products alone, for one step's rows, in both precisions.

    Gives also the floating-point operations that training needs for a real token: 2 for each weight of the layers forward,
    4 backward, and the attention's two products over the text's own length.
    """
    config = AutoConfig.from_pretrained(job.located.folder)
    with torch.device("meta"):
        layers = surgery.layers(AutoModel.from_config(config))
    weights = sum(parameter.numel() for layer in layers for parameter in layer.parameters())
    tokenizer = AutoTokenizer.from_pretrained(job.located.folder)
    lengths = [len(ids) for ids in tokenizer(job.texts, truncation=True, max_length=MAX_TOKENS)["input_ids"]]
    seen = sum(n * n for n in lengths) / sum(lengths)  # tokens that a token meets in the attention, on average
    wide, inner = config.hidden_size, config.intermediate_size
    shapes = ((3 * wide, wide), (wide, wide), (inner, wide), (wide, inner))
    rows = round(32 * sum(lengths) / len(lengths))
    found: dict[str, Any] = {
        "parameters_in_layers": weights,
        "flops_per_token": 6 * weights + 12 * seen * wide * len(layers),
        "mean_tokens": sum(lengths) / len(lengths),
        "rows": rows,
    }
    for name, precision in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        products = [product for shape in shapes for product in _products(rows, *shape, precision)]
        found[f"{name}_best"] = max(flops / seconds for flops, seconds in products)
        found[f"{name}_all"] = sum(flops for flops, _ in products) / sum(seconds for _, seconds in products)
    return found


def _products(rows: int, outputs: int, inputs: int, precision: torch.dtype) -> Iterator[tuple[float, float]]:
    """(operations, CPU seconds) of a linear map's three products: forward, to its input, to its weight."""
    values = torch.randn(rows, inputs).to(precision)
    weight = torch.randn(outputs, inputs).to(precision)
    gradient = torch.randn(rows, outputs).to(precision)
    for left, right in ((values, weight.T), (gradient, weight), (gradient.T, values)):
        yield 2.0 * rows * outputs * inputs, min(_seconds(left, right) for _ in range(REPEATS))


def _seconds(left: torch.Tensor, right: torch.Tensor) -> float:
    """CPU seconds of one product, from as many as fill PRODUCT_SECONDS."""
    left @ right
    times, started = 0, time.process_time()
    while (passed := time.process_time() - started) < PRODUCT_SECONDS:
        left @ right
        times += 1
    return passed / times


VARIANTS: dict[str, Callable[[Job], dict[str, Any]]] = {
    variant.__name__: variant
    for variant in (
        floor,
        profile,
        textbook,
        trainer,
        trainer_bf16_grouped,
        ours,
        ours_from_probe,
        ours_same_batch,
        ours_frozen_words,
        ours_trained_words,
        ours_lora,
        ours_linear_probe,
        ours_plain,
        ours_masked,
        ours_no_kernels,
    )
}


def main() -> None:
    """Measure what the argument says."""
    asked = json.loads(sys.argv[1])
    task, variant = TASKS[asked.pop("task")], VARIANTS[asked.pop("variant")]
    make = repeated_job if "rows" in asked else job
    print(json.dumps(variant(make(task, Path(asked.pop("data")), **asked))))


if __name__ == "__main__":
    main()
