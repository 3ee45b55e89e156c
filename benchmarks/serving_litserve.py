"""LitServe around the pipeline of `transformers`: what serving_once.py starts beside our server.

    python benchmarks/serving_litserve.py build/benchmarks/inference/clinc150-1000-all 8001 32

As its own pages show it, one worker. The last number is how many texts it may take together; 1: its batching is off.
"""

import sys
from pathlib import Path

import litserve
from inference_once import pipeline

PATIENCE = 0.005  # seconds that it waits for a batch to fill


class OneByOne(litserve.LitAPI):
    """A text a time."""

    def setup(self, device: str) -> None:
        """Open the model, in the worker's process."""
        self.answer = pipeline(Path(sys.argv[1]))

    def decode_request(self, request: dict[str, str]) -> str:
        """The text of a request."""
        return request["text"]

    def predict(self, text: str) -> str:
        """Its label."""
        return self.answer([text])[0]

    def encode_response(self, label: str) -> dict[str, str]:
        """What is sent."""
        return {"label": label}


class Together(OneByOne):
    """As many texts as are waiting."""

    def setup(self, device: str) -> None:
        """Open the model, in the worker's process."""
        self.answer = pipeline(Path(sys.argv[1]), batch_size=self.max_batch_size)

    def predict(self, texts: list[str]) -> list[str]:
        """Their labels."""
        return self.answer(texts)


def main() -> None:
    """Serve the model of the folder at the port."""
    most = int(sys.argv[3])
    made = Together(max_batch_size=most, batch_timeout=PATIENCE) if most > 1 else OneByOne()
    server = litserve.LitServer(made, accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
