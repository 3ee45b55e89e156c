"""The pipeline of `transformers` behind FastAPI and uvicorn: what serving_once.py starts beside our server.

    python benchmarks/serving_fastapi.py build/benchmarks/inference/clinc150-1000-all 8001

A plain use of the libraries: a route that is no coroutine, which FastAPI gives its threads.
"""

import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from inference_once import pipeline
from pydantic import BaseModel


class Asked(BaseModel):
    text: str


def main() -> None:
    """Serve the model of the folder at the port."""
    answer, app = pipeline(Path(sys.argv[1])), FastAPI()

    @app.post("/predict")
    def predict(asked: Asked) -> dict[str, str]:
        return {"label": answer([asked.text])[0]}

    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")


if __name__ == "__main__":
    main()
