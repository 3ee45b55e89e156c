"""One variant of answering, measured in this very process: what inference.py starts, again and again.

    python benchmarks/inference_once.py '{"variant": "ours", "folder": "build/benchmarks/inference/trec6", …}'

Prints one JSON object; see `main`. A variant is a function that opens the model and gives another one, from texts to label
names; each is a plain use of its library. Nothing is imported before a variant does it: a cold start counts from the start
of the process.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

MAX_TOKENS = 256
BATCH = 32
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))

Answer = Callable[[Sequence[str]], list[str]]


def pipeline(folder: Path, **settings: int) -> Answer:
    """The pipeline of `transformers` as it comes: text by text, in fp32.

    Its network has mean pooling in its own code. The bundle's folder has it as one more layer, so that plain `transformers`
    can open it; to let the peer compute that layer as well would be unfair.
    """
    import torch
    import transformers
    from transformers.modeling_outputs import SequenceClassifierOutput

    class MeanPooled(transformers.BertForSequenceClassification):
        def forward(self, input_ids, attention_mask, **features):
            hidden = self.bert(input_ids, attention_mask, **features).last_hidden_state
            mask = attention_mask.unsqueeze(-1)
            mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
            return SequenceClassifierOutput(
                logits=self.classifier(torch.nn.functional.layer_norm(mean, mean.shape[1:]))
            )

    model = MeanPooled.from_pretrained(folder / "plain")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "plain")
    answers = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu", **settings)
    cut = {"truncation": True, "max_length": MAX_TOKENS}
    return lambda texts: [found["label"] for found in answers(list(texts), **cut)]


def pipeline_batched(folder: Path) -> Answer:
    """The same with `batch_size=32`."""
    return pipeline(folder, batch_size=BATCH)


def sentence_transformers(folder: Path) -> Answer:
    """`SentenceTransformer.encode` as it comes: batches of 32 texts of like length, fp32; the head is its last module."""
    import torch
    from safetensors.torch import load_file
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    encoder = modules.Transformer(str(folder / "plain"), max_seq_length=MAX_TOKENS)
    wide = encoder.get_embedding_dimension()
    saved = load_file(folder / "plain/model.safetensors")
    weight, bias = saved["classifier.weight"], saved["classifier.bias"]
    head = modules.Dense(wide, len(bias), activation_function=torch.nn.Identity(), init_weight=weight, init_bias=bias)
    model = SentenceTransformer(modules=[encoder, modules.Pooling(wide), modules.LayerNorm(wide), head], device="cpu")
    labels = list(json.loads((folder / "plain/config.json").read_text("utf-8"))["id2label"].values())
    return lambda texts: [labels[i] for i in model.encode(list(texts), show_progress_bar=False).argmax(axis=1)]


def onnx_fp32(folder: Path, precision: str = "fp32") -> Answer:
    """ONNX Runtime alone: `tokenizers`, batches of 32 texts of like length, the network with its steps joined."""
    import numpy
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "plain/tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(folder / f"onnx/model.{precision}.onnx", options)
    labels = list(json.loads((folder / "plain/config.json").read_text("utf-8"))["id2label"].values())
    fields = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    inputs = {one.name: fields[one.name] for one in session.get_inputs()}

    def answer(texts: Sequence[str]) -> list[str]:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        found = [""] * len(texts)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            encoded = tokenizer.encode_batch([texts[i] for i in batch])
            arrays = {name: numpy.array([getattr(one, field) for one in encoded]) for name, field in inputs.items()}
            for i, logits in zip(batch, session.run(None, arrays)[0], strict=True):
                found[i] = labels[int(logits.argmax())]
        return found

    return answer


def onnx_int8(folder: Path) -> Answer:
    """The same in 8-bit integers."""
    return onnx_fp32(folder, "int8")


def ours(folder: Path, runtime: str | dict[str, str] = "auto") -> Answer:
    """`tunewright.load(bundle)`, with the runtime that was chosen when the bundle was made."""
    import tunewright

    predictor = tunewright.load(folder / "run", runtime)
    return lambda texts: [prediction.value for prediction in predictor.predict(texts)]


def ours_native(folder: Path) -> Answer:
    """The same with the runtime native."""
    return ours(folder, "native")


def ours_torch_bf16(folder: Path) -> Answer:
    """The same with PyTorch in bf16."""
    return ours(folder, {"name": "torch", "precision": "bf16"})


def ours_compressed(folder: Path) -> Answer:
    """The bundle that `tunewright compress` made of it: half of the layers, taught anew, in 8-bit integers."""
    import tunewright

    predictor = tunewright.load(folder / "ours_compressed")
    return lambda texts: [prediction.value for prediction in predictor.predict(texts)]


def ours_static(folder: Path) -> Answer:
    """The static student that it made: a vector for every piece, their mean, and a map."""
    import tunewright

    predictor = tunewright.load(folder / "ours_static")
    return lambda texts: [prediction.value for prediction in predictor.predict(texts)]


VARIANTS = {
    variant.__name__: variant
    for variant in (
        pipeline,
        pipeline_batched,
        sentence_transformers,
        onnx_fp32,
        onnx_int8,
        ours_torch_bf16,
        ours_native,
        ours,
        ours_compressed,
        ours_static,
    )
}


def main() -> None:
    """Measure what the argument says.

    cold_*: from the process's start to its first answer; cpu_seconds, wall_seconds: all texts in one call; p50_*, p99_*:
    milliseconds for one text at a time; peak_memory_mib: the most the process had; accuracy; flips: answers that differ
    from those of the saved model in fp32.
    """
    asked = json.loads(sys.argv[1])
    folder = Path(asked["folder"])
    rows = json.loads((folder / "rows.json").read_text("utf-8"))
    texts = rows["texts"]
    answer = VARIANTS[asked["variant"]](folder)
    answer(texts[:1])
    cold = {"cold_cpu_seconds": time.process_time(), "cold_wall_seconds": _seconds_lived()}

    answer(texts[: asked["warm_up"]])
    started = (time.process_time(), time.perf_counter())
    found = answer(texts)
    cpu, wall = time.process_time() - started[0], time.perf_counter() - started[1]
    alone = [_timed(answer, text) for text in texts[: asked["alone"]]]

    from harness import peak_memory_mib

    values = {"texts": len(texts), "cpu_seconds": cpu, "wall_seconds": wall, **cold}
    for name, times in zip(("cpu_ms", "wall_ms"), zip(*alone, strict=True), strict=True):
        ordered = sorted(times)
        values |= {f"p{share}_{name}": 1000 * ordered[share * (len(ordered) - 1) // 100] for share in (50, 99)}
    right = sum(label == gold for label, gold in zip(found, rows["labels"], strict=True))
    flips = sum(label != exact for label, exact in zip(found, rows["exact"], strict=True))
    print(json.dumps({**values, "accuracy": right / len(texts), "flips": flips, "peak_memory_mib": peak_memory_mib()}))


def _timed(answer: Answer, text: str) -> tuple[float, float]:
    """CPU and wall seconds of one text."""
    started = (time.process_time(), time.perf_counter())
    answer([text])
    return time.process_time() - started[0], time.perf_counter() - started[1]


def _seconds_lived() -> float:
    """Since this process was started, to a hundredth."""
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return float(Path("/proc/uptime").read_text().split()[0]) - started


if __name__ == "__main__":
    main()
