# The two commands of a newcomer: `make demo` and `make test`. Everything is installed into .venv; nothing else changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := models,datasets,tensorboard,mlflow,onnx,openvino,augment,search,serve,jwt,alerts,otel,dev
# Waiting threads sleep, so that several programs can share the cores.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help demo test test-fast check format bench bench-speed bench-answering bench-quality bench-scaling bench-methods bench-few-shot bench-serve bench-extra bench-quick clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 17

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $(STAMP)

demo: $(STAMP) ## train a real model on real intents, see the verdict and three predictions
	$(BIN)/python examples/demo.py

test: $(STAMP) ## all tests, on as many cores as there are, four at most
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4

test-fast: $(STAMP) ## the tests that take no more than a few seconds each
	$(BIN)/python -m pytest -m 'not slow'

check: $(STAMP) ## style
	$(BIN)/ruff check src tests examples docs benchmarks recipes scripts
	$(BIN)/ruff format --check src tests examples docs benchmarks recipes scripts

format: $(STAMP) ## mend style
	$(BIN)/ruff check --fix src tests examples docs benchmarks recipes scripts
	$(BIN)/ruff format src tests examples docs benchmarks recipes scripts

# One task by name: make bench-speed TASK=trec6. What is in benchmarks/results is kept; AGAIN=--again measures it anew.
bench: bench-speed bench-answering bench-serve bench-scaling bench-methods bench-few-shot bench-quality ## measure what is not in benchmarks/results yet, and rewrite docs/benchmarks.md; takes hours

bench-speed: $(STAMP) bench-extra ## only the speed of training
	$(BIN)/python benchmarks/train_speed.py $(TASK:%=--task %) $(AGAIN)
	$(BIN)/python benchmarks/report.py

bench-answering: $(STAMP) bench-extra ## only answering: speed, memory, files of any size
	$(BIN)/python benchmarks/inference.py $(if $(filter ag_news trec6 clinc150,$(TASK)),--task $(TASK)) $(AGAIN)
	$(BIN)/python benchmarks/bulk.py $(AGAIN)
	$(BIN)/python benchmarks/report.py

bench-serve: $(STAMP) bench-extra ## only answering over HTTP, beside the pipeline behind FastAPI and LitServe
	$(BIN)/python benchmarks/serving.py $(AGAIN)
	$(BIN)/python benchmarks/report.py

bench-quality: $(STAMP) bench-extra ## only the time to quality
	$(BIN)/python benchmarks/time_to_quality.py $(TASK:%=--task %) $(AGAIN)
	$(BIN)/python benchmarks/report.py

bench-methods: $(STAMP) bench-extra ## only the tuning methods beside each other
	$(BIN)/python benchmarks/methods.py $(AGAIN)
	$(BIN)/python benchmarks/report.py

bench-few-shot: $(STAMP) bench-extra ## only a few rows of each label, beside SetFit
	$(BIN)/python benchmarks/few_shot.py $(if $(filter trec6 tnews_fewclue,$(TASK)),--task $(TASK)) $(AGAIN)
	$(BIN)/python benchmarks/report.py

bench-scaling: $(STAMP) bench-extra ## only how the cost grows
	$(BIN)/python benchmarks/scaling.py $(AGAIN)
	$(BIN)/python benchmarks/report.py

bench-extra: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS),bench]'

bench-quick: $(STAMP) ## two tasks, few steps: a first impression in some minutes
	$(BIN)/python benchmarks/train_speed.py --quick --again

clean: ## remove .venv and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache dist build
