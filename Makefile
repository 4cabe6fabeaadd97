# `make train` and `make test` do all the set-up on a fresh machine; `make help` lists the rest.
.DEFAULT_GOAL := help
SHELL := /bin/bash
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11 python,\
	$(shell $(p) -c '$(SUPPORTED)' >/dev/null 2>&1 && echo $(p))))
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Two processes share the tests, file by file: more of them would only wait for each other's TensorFlow. In the order of
# the folders: by the number of their tests, files of one long test would come last, and one process wait for them.
WORKERS := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help setup train test test-fast lint format goldens test-triton proof-build proof-decode proof-digits proof-doctor \
	proof-fashion proof-growth proof-memory proof-parity proof-precision proof-resume proof-scale proof-serve proof-speed proof-startup \
	proof-train proof-variants proof-workers \
	clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "kerasnets needs Python 3.11, 3.12 or 3.13; name one: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,lint]'
	@touch $@

setup: $(INSTALLED)  ## make .venv with the pinned dependencies

train: setup  ## train on the built-in digits, export, verify, predict
	@set -euo pipefail; \
	say() { printf '\n\033[1m$$ %s\033[0m\n' "$$*"; "$$@"; }; \
	export PATH="$(CURDIR)/$(BIN):$$PATH"; \
	printf '\033[1m$$ kerasnets train digits-resnet20\033[0m\n'; \
	kerasnets train digits-resnet20 --json > $(VENV)/train.json; \
	run=$$(python -c 'import json; print(json.load(open("$(VENV)/train.json"))["run"])'); \
	say kerasnets evaluate $$run; \
	say kerasnets export $$run; \
	say kerasnets verify export/models/digits-resnet20; \
	say kerasnets samples $$run --count 6 --output $$run/samples; \
	say kerasnets predict export/models/digits-resnet20 $$run/samples; \
	printf '\n'; printf '%s\n' \
	  "the run       $$run  (weights, history.csv, metrics.json, tensorboard/)" \
	  "the model     export/models/digits-resnet20  (SavedModel and ONNX, verified)" \
	  "next          source $(VENV)/bin/activate" \
	  "  tensorboard --logdir $$run/tensorboard" \
	  "  kerasnets init FOLDER        write a config for your own folder of images" \
	  "  kerasnets export RUN         ship another run" \
	  "  kerasnets predict export/models/digits-resnet20 IMAGE"

test: lint  ## lint, types and the tests, but for slow variants of some
	$(BIN)/python -m pytest $(WORKERS) -m 'not variant'

test-fast: lint  ## the same without the slow tests
	$(BIN)/python -m pytest $(WORKERS) -m 'not (slow or variant)'

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup  ## let ruff mend and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

goldens: setup  ## write our own golden counts (marked self) and the table of models again; external ones stay
	$(BIN)/python tests/goldens.py

proof-build: setup  ## time and memory to build the deepest models
	$(BIN)/python tests/proofs/build.py

proof-decode: setup  ## malformed images of every format through every decoder: the same pixels, or refused by all
	$(BIN)/python tests/proofs/decode.py

proof-digits: setup  ## five seeds of configs/digits-resnet20.yaml: accuracy and time
	$(BIN)/python tests/proofs/recipes.py digits-resnet20

proof-fashion: setup  ## Fashion-MNIST to 94 %: three seeds of configs/fashion-speed.yaml, one of fashion-resnet20 (an hour)
	$(BIN)/python tests/proofs/recipes.py fashion-speed fashion-resnet20

proof-growth: setup  ## images/s, memory, start-up against batch, size, depth, width; chart into docs/charts (8 minutes)
	$(BIN)/kerasnets benchmark growth --chart docs/charts/growth.svg

proof-memory: setup  ## the memory of training steps as predicted and as measured: within 20 % (5 minutes)
	$(BIN)/python tests/proofs/memory.py

proof-doctor: setup  ## sick and healthy runs: thresholds set on one suite, tried on two others
	$(BIN)/python tests/proofs/doctor.py

PARITY := .venv-parity

# torchvision and timm without what they ask for: torchvision wants a torch that it was built for, and needs none here.
$(PARITY)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "kerasnets needs Python 3.11, 3.12 or 3.13; name one: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(PARITY)
	$(PARITY)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e . torch==2.13.0
	$(PARITY)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps torchvision==0.28.0 timm==1.0.31
	@touch $@

proof-parity: $(PARITY)/.installed  ## the real torchvision and timm models against ours with their weights (needs torch: an environment of its own)
	$(PARITY)/bin/python tests/proofs/parity.py

TRITON := .venv-triton

# The wheel holds a Triton with the python backend; it wants numpy 1, so it has an environment of its own.
$(TRITON)/.installed: Makefile
	@test -n "$(PYTHON)" || { echo "kerasnets needs Python 3.11, 3.12 or 3.13; name one: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(TRITON)
	$(TRITON)/bin/python -m pip install --quiet --disable-pip-version-check 'numpy<2' nvidia-pytriton==0.7.0 onnxruntime==1.31.1
	@touch $@

test-triton: setup $(TRITON)/.installed  ## a version of ours in a real Triton (downloads nvidia-pytriton: an environment of its own)
	$(BIN)/python tests/proofs/triton.py $(TRITON)/bin/python

proof-precision: setup  ## five seeds of Fashion-MNIST on the fast path in bfloat16 against stock Keras in float32 (45 minutes)
	$(BIN)/python tests/proofs/precision.py

proof-scale: setup  ## a million listed images: time to the first step, memory
	$(BIN)/python tests/proofs/scale.py

proof-serve: setup  ## the server under load against onnxruntime alone; versions, signals and attacks meanwhile (8 minutes)
	$(BIN)/python tests/proofs/serve.py

proof-speed: setup  ## how fast each exported file of a ResNet-20 and a ResNet-50 answers; charts into docs/charts
	$(BIN)/python tests/proofs/speed.py docs/charts

proof-startup: setup  ## from a process's start to the end of the first training step, stage by stage
	$(BIN)/python tests/proofs/startup.py

proof-train: $(PARITY)/.installed  ## how fast networks train beside stock Keras, keras.applications and PyTorch; into docs/charts (16 minutes or more, needs torch)
	$(PARITY)/bin/python tests/proofs/train.py docs/charts

proof-resume: setup  ## runs killed at random points, resumed, and killed again: bit for bit the same
	$(BIN)/python tests/proofs/resume.py

proof-variants: setup  ## slow variants of tests, of which `make test` runs one each
	$(BIN)/python -m pytest $(WORKERS) -m variant

proof-workers: setup  ## two and four processes are one, also when one is killed; how throughput grows
	$(BIN)/python tests/proofs/workers.py

clean:  ## remove what was built, not runs or exported models
	rm -rf $(VENV) $(PARITY) $(TRITON) build dist .pytest_cache .mypy_cache .ruff_cache
