# The course as a workflow: one job per notebook, in the order that their `begin(..., after=[...])` asks for.
#
#   make course                                          the usual way; adds locks, cores and one line per lesson (lib/course/run.py)
#   snakemake --cores 2 --config profile=course          the same by hand
#   snakemake --profile profiles/slurm                   on a cluster
#
# A notebook is run again when its code, what it uses of lib/ (definitions, see lib/definitions/), the published numbers, the profile or the data
# set changed; not when only its text or its stored outputs did. Settings (--config): profile, dataset, jobs, lessons, scope, notebooks, build; a data folder
# with an odd name: COURSE_DATASET.
import os
import sys
from pathlib import Path

from lib.course import notebook as notebooks
from lib.course import parameters, paths, progress, watch

watch.follow_owner()

PROFILE = parameters.resolve_profile(config.get("profile"), default="course")
DATASET = config["dataset"] if "dataset" in config else os.environ.get("COURSE_DATASET") or None
DATASET = None if DATASET is None else parameters.resolve_dataset(DATASET)
PYTHON = sys.executable  # a name of its own in the command: another interpreter is no reason to run again
JOBS = int(config.get("jobs", 1))
FOLDER = Path(config.get("notebooks") or paths.NOTEBOOKS).resolve()
BUILD = Path(config.get("build") or paths.BUILD).resolve()
LESSONS = notebooks.lesson_files(FOLDER)
DECLARED = {name: notebooks.declaration(notebooks.read(path)) for name, path in LESSONS.items()}
PLACE = {name: place for place, name in enumerate(reversed(LESSONS))}  # the first lesson's is the highest
LIBRARY = config.get("library")
CHOICE = config.get("lessons", "")
CHOICE = f"{CHOICE:02d}" if isinstance(CHOICE, int) else CHOICE  # by hand 02 arrives as 2
WANTED = notebooks.in_scope(LESSONS, CHOICE, config.get("scope", "all"))
OUT = BUILD / "notebooks" / (PROFILE if DATASET is None else f"{PROFILE}-{parameters.dataset_name(DATASET)}")


def before(wildcards):
    """Executed notebooks that must be there first: what the lesson declares, and for solutions the lesson itself."""
    declared = DECLARED[wildcards.name]
    names = list(declared.after) if declared else []
    if wildcards.name.startswith("solutions/"):
        names.append(wildcards.name.removeprefix("solutions/"))
    return [ancient(str(OUT / f"{name}.ipynb")) for name in names if name in LESSONS and name != wildcards.name]


def minutes(wildcards):
    return notebooks.declared_minutes(notebooks.read(LESSONS[wildcards.name]), PROFILE)


onstart:
    names = {job.wildcards.name for job in workflow.dag.needrun_jobs() if job.rule.name == "lesson"}
    progress.tell("plan", names=[name for name in LESSONS if name in names])


wildcard_constraints:
    name=notebooks.LESSON_NAME.pattern.replace("(", "(?:"),


localrules:
    all,


rule all:
    input:
        [str(OUT / f"{name}.ipynb") for name in WANTED],


rule lesson:
    input:
        before,
        notebook=lambda wildcards: ancient(str(LESSONS[wildcards.name])),
    output:
        str(OUT / "{name}.ipynb"),
    params:
        code=lambda wildcards: notebooks.code_hash(notebooks.read(LESSONS[wildcards.name])),
        library=lambda wildcards: LIBRARY or notebooks.library_hash(notebooks.read(LESSONS[wildcards.name])),
        # by the environment, not as a parameter: the executed copy is then the notebook itself, and can be published
        profile=PROFILE,
        # a function: Snakemake takes braces in other values for wildcards; a list: each part is quoted by itself
        dataset=lambda wildcards: [] if DATASET is None else ["-r", "dataset", DATASET],
        root=lambda wildcards: str(paths.ROOT),
    priority: lambda wildcards: PLACE[wildcards.name]  # in the order of the lessons, where nothing else decides
    threads: max(1, workflow.cores // JOBS) if workflow.cores else 1
    resources:
        runtime=lambda wildcards: int(30 + 3 * minutes(wildcards)),  # minutes, for schedulers
        mem_mb=8000,
    message:
        "{wildcards.name} ({params.profile})"
    shell:
        "cd {params.root:q} && COURSE_PROFILE={params.profile} {PYTHON:q} -m lib.course.guard {input.notebook:q} {output:q} --threads {threads} {params.dataset:q}"
