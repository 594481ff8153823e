# Two commands do everything on a machine with python3 and make: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

.PHONY: demo test docs gpu clean

demo: $(READY)
	$(BIN)/maskvfi demo demo --overwrite

# Three processes for two cores: some tests mostly wait, for Ray or a browser. More threads in each would not help.
# In the order of the folders long tests come first, so that no process is left with one at the end.
test: export OMP_NUM_THREADS ?= 1
test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# On a machine with a GPU, in an environment of its own with torch for that GPU. It can be resumed.
gpu:
	$(PYTHON) -m benchmarks.gpu --out gpu.json

docs: $(READY)
	$(BIN)/typer maskvfi.cli.main utils docs --name maskvfi --output docs/commands.md
	$(BIN)/python docs/files.py
	$(BIN)/mkdocs build --strict

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	# torch comes first and pinned. On Linux pip's usual index has the build with CUDA (gigabytes): PIP_EXTRA_INDEX_URL can
	# name the index of the build for CPUs.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs,train,bench,openvino,onnx,hub,ui,ray]'
	touch $@

clean:
	rm -rf $(VENV) demo site dist
