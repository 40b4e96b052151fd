# Every target sets up what it needs: .venv from requirements.lock.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
# Stages call python, papermill and nbstripout by name, and import mlorakit from where they run.
REPRO := PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH=. python -m mlorakit.repro $(if $(JOBS),--jobs $(JOBS))

.PHONY: repro test test-slow check lab demo paper bench readme lock clean

# Several stages at a time, as many as there are cores, up to 4: make repro JOBS=8 for another number.
repro: $(STAMP) ## regenerate every result of the default run
	$(REPRO)

test: $(STAMP) check ## formatting, lint, types, agreement of the environment files, tests
	$(BIN)/python -m pytest -n auto --dist loadgroup

test-slow: $(STAMP) ## the method at full size on generated data with a known truth; minutes
	$(BIN)/python -m pytest -m slow

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/nbstripout --verify --keep-id notebooks/*.ipynb

lab: $(STAMP) ## JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks

# Both run in a copy of the project below build/, so the results in reports/ stay as they are. A
# copy keeps what it has computed: run the target again after an interruption and it goes on.
demo: $(STAMP) ## the whole pipeline on generated data, without a network, in build/demo
paper: $(STAMP) ## the full grid of data sets, both batch orders, five seeds, in build/paper; hours
# make paper WITH="amazon taobao": further profiles on top, here Amazon-6 and Taobao.
WITH :=
demo paper:
	mkdir -p build/$@ && rm -rf build/$@/{mlorakit,notebooks}
	git ls-files -z -- ':!reports' ':!dvc.lock' | xargs -0 tar cf - | tar xf - -C build/$@
	printf '[core]\n    no_scm = true\n' > build/$@/.dvc/config.local
	cd build/$@ && PYTHONPATH=. $(CURDIR)/$(BIN)/python -m mlorakit.profile $(patsubst %,profiles/%.yaml,$@ $(WITH))
	cd build/$@ && $(REPRO)

# One of them, or with options: make bench ARGS='speed lora --threads 2 --note "a quiet machine"'.
bench: .venv-bench/.ready ## against peers; results and their summary in reports/benchmarks
	.venv-bench/bin/python -m benchmarks $(ARGS)

lock: ## resolve pyproject.toml anew into requirements.lock
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet '.[dev]'
	build/lock/bin/pip freeze --exclude mlorakit --all | grep -v '^pip==' \
	  | sed 's/^\(torch==[0-9.]*\)+.*/\1/' > requirements.lock
	rm -rf build/lock

readme: $(STAMP) ## put the committed tables into README.md
	$(BIN)/python -m mlorakit.report.readme

clean: ## remove environments and everything that the pipeline can make again
	rm -rf .venv .venv-bench build .checkpoints data/raw data/processed

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("mlorakit needs Python 3.11 or newer, and %s is %s; set PYTHON=/path/to/python3.11" % ("$(PYTHON)", sys.version.split()[0]) if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

.venv-bench/.ready: $(STAMP)
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install -r requirements.lock
	.venv-bench/bin/python -m pip install --quiet --no-build-isolation -e '.[bench]' -c requirements.lock
	touch $@
