# Each target makes .venv from constraints.txt when it is missing or older than the list.
PYTHON ?= python3
# An extra package index, for those who want PyTorch's CPU build from it. Unset by default.
TORCH_INDEX ?=

BIN := .venv/bin
READY := .venv/.ready

.PHONY: run test quick lint coverage mutants bench docs dist notebooks explorer clean

run: $(READY)
	$(BIN)/handgrad verify

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

quick: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal -m "not slow"

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/zizmor --offline --quiet .github
	@if command -v npm >/dev/null; then cd explorer && npm ci --silent && npm run --silent lint; \
	else echo "make lint: explorer/ was left out, for want of npm"; fi

# Which lines and branches the tests reach, and which test reaches which.
coverage: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal --cov --cov-branch --cov-context=test --cov-report= \
		-vv --durations=0 > .durations || { tail -50 .durations; exit 1; }
	$(BIN)/coverage report --skip-covered --show-missing

mutants: $(READY)
	test -f .coverage || $(MAKE) coverage
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/mutants.py

bench: $(READY)
	$(BIN)/python benchmarks/ladder.py
	$(BIN)/python benchmarks/gradcheck.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/explore.py

# The site, in docs/_build/html: index.html opens from disk.
docs: $(READY)
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build/html

# Both archives, in dist/: built twice, looked into, and the wheel tried with each extra.
dist: $(READY)
	$(BIN)/python tests/archives.py

notebooks: $(READY)
	$(BIN)/python lessons/build.py

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "handgrad: Python must be 3.11 or newer, got " + sys.version.split()[0] + ": name another one, as in make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt -e '.[dev]'
	touch $(READY)

# The page's script and style, from TypeScript. A Python user needs no Node: they are committed.
explorer:
	cd explorer && npm ci --silent && npm run --silent build

clean:
	rm -rf .venv explorer/node_modules
