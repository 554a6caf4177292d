# Everything sets itself up: `make course` and `make test` work in a fresh clone with Python 3.11 or newer and make.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup course all test lint bench publish exercises contents badges record overnight weights lock lab site clean distclean

# Options, as in `make course PROFILE=paper DATASET=viper JOBS=4`
PROFILE ?=
DATASET ?=
LESSONS ?=
WEIGHTS ?=
JOBS ?=
CORES ?=
ARGS ?=
LOCK ?=
STUDY ?=
REPOSITORY ?=
SEEDS ?=
TRIALS ?=
HOURS ?=
PYTHON ?=

# A folder name with spaces or quotes would end in a wrong place, silently
ifneq ($(words $(CURDIR)),1)
$(error make cannot work in a folder whose name has spaces: $(CURDIR))
endif
ifneq ($(findstring ',$(CURDIR)),)
$(error make cannot work in a folder whose name has quotes: $(CURDIR))
endif

VENV := $(CURDIR)/.venv
RUN := '$(VENV)/bin/python'
export PATH := $(VENV)/bin:$(PATH)
export PYTHONNOUSERSITE := 1

# 'the value of a variable' as it was typed: a data folder may be called O'Brien, or have $, blanks, braces in it
typed = '$(subst ','\'',$(value $(1)))'
option = $(if $(strip $(value $(2))),--$(1) $(call typed,$(2)))

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'
	@echo
	@echo "  options: PROFILE=quick|course|paper DATASET=viper|folder LESSONS='00 3 04_base' JOBS=2 CORES=2 BENCH=ranking WEIGHTS=NETWORK LOCK=requirements-DATE.lock"
	@echo "           ARGS='-n' (passed to snakemake, or to pytest by make test) PYTHON=python3.12 (makes .venv)"
	@echo "           make lab ARGS='--no-browser --port 8889 --allow-root'"
	@echo "           make record STUDY=sing DATASET=viper SEEDS=3 TRIALS=3 HOURS=2"

# The first Python that is new enough; pyenv's placeholders and old ones fail the question and are passed over.
setup: ## the virtual environment (every other target does it too)
	@for python in $(PYTHON) python3.13 python3.12 python3.11 python3.14 python3 python; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			exec $$python lib/course/environment.py --extras test $(EXTRA) $(call option,lock,LOCK); \
		fi; \
	done; \
	echo "error: Python 3.11 or newer was not found (tried $(PYTHON) python3.13, python3.12, python3.11, python3); install one, or say where: make PYTHON=/path/to/python3" >&2; \
	exit 1

workflow = @exec $(RUN) -m lib.course.run --scope $(1) $(call option,profile,PROFILE) $(call option,dataset,DATASET) \
	$(call option,lessons,LESSONS) $(call option,jobs,JOBS) $(call option,cores,CORES) -- $(ARGS)

course: setup ## run the main line of lessons and draw their figures; up-to-date ones are skipped
	$(call workflow,main)

all: setup ## the same with the ablation lessons and all solutions
	$(call workflow,all)

test: setup ## lint, unit tests, structure of the notebooks, nbval in the quick profile, one run in another profile
	@exec $(RUN) -m lib.course.check $(ARGS)

lint: setup ## ruff alone
	@exec $(RUN) -m ruff check .

# Every module of benchmarks/ is one benchmark; BENCH=ranking runs one. The peers come with the extra `bench`.
BENCH ?= $(filter-out __%,$(notdir $(basename $(wildcard benchmarks/*.py))))
bench: EXTRA = bench
bench: setup ## benchmarks: ours, the peer's, the ratio
	@# its metadata asks for NumPy 1, its ranking works with NumPy 2: not as a dependency, but alone
	@$(RUN) -c 'import importlib.metadata as m; m.version("open-metric-learning")' 2>/dev/null \
		|| $(RUN) -m pip install --quiet --disable-pip-version-check --no-deps open-metric-learning==4.0.0
	@for name in $(BENCH); do echo "== $$name"; $(RUN) -m benchmarks.$$name $(ARGS) || exit 1; done

publish: override PROFILE = course
publish: override DATASET =
publish: all ## run lessons and solutions in the course profile and store their outputs in notebooks/
	@exec $(RUN) -m lib.course.publish $(if $(strip $(LESSONS)),$(call typed,LESSONS))

exercises: setup ## make notebooks/exercises from notebooks/solutions
	@exec $(RUN) -m lib.course.exercises

contents: setup ## write the lessons' minutes into README, and the links to the next lesson
	@exec $(RUN) -m lib.course.contents

badges: setup ## links to Colab and Binder, and a first cell for them, in every notebook: REPOSITORY=OWNER/NAME on GitHub
	@exec $(RUN) -m lib.course.hosted $(call typed,REPOSITORY)

record: setup ## train what the record of a STUDY lacks, as long as HOURS allow, and write data/measured/
	@exec $(RUN) -m lib.experiments.record $(if $(strip $(value STUDY)),$(call typed,STUDY)) $(call option,dataset,DATASET) \
		$(call option,seeds,SEEDS) $(call option,trials,TRIALS) $(call option,hours,HOURS) $(ARGS)

overnight: setup ## the record of every study on every set that is here, as long as HOURS allow, PROCESSES at a time
	@exec $(RUN) -m lib.experiments.overnight $(call option,hours,HOURS) $(call option,processes,PROCESSES) $(ARGS)

weights: setup ## pre-train the first weights that ship: what is missing, or WEIGHTS='resnet18-half' again (hours)
	@exec $(RUN) -m lib.experiments.ship $(if $(strip $(value WEIGHTS)),$(call typed,WEIGHTS))

lab: setup ## JupyterLab with copies of the lessons that are yours, in my/
	@exec $(RUN) -m lib.course.lab $(ARGS)

site: EXTRA = site
site: setup ## the course as web pages, from the stored outputs: build/site/html
	@$(RUN) -m lib.course.explore_page
	@exec $(RUN) -m lib.course.site $(ARGS)

lock: EXTRA = site
lock: setup ## write requirements-DATE.lock from what is installed
	@exec $(RUN) -m lib.course.lock

clean: ## remove executed notebooks and caches of tools (trained runs and data sets stay)
	rm -rf build .snakemake .pytest_cache .ruff_cache .hypothesis *.egg-info
	find lib tests benchmarks notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +

distclean: clean ## remove the virtual environment too
	rm -rf '$(VENV)'
