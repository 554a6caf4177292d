# The course as a workflow: one job per notebook, in the order that their `begin(..., after=[...])` asks for.
#
#   make course                                          the usual way; adds locks, cores and a summary (lib/course/run.py)
#   snakemake --cores 2 --config profile=course          the same by hand
#   snakemake --profile profiles/slurm                   on a cluster
#
# A notebook is run again when its code, anything in lib/, the published numbers, the profile or the data set changed; not when only its text or
# its stored outputs did. Settings (--config): profile, dataset, jobs, lessons, notebooks, build.
import hashlib
import os
import re
import sys
from pathlib import Path

from lib.course import notebook as notebooks
from lib.course import parameters, paths, watch

watch.follow_owner()

PROFILE = parameters.resolve_profile(config.get("profile") or os.environ.get("COURSE_PROFILE") or "course")
DATASET = parameters.resolve_dataset(str(config["dataset"])) if config.get("dataset") else None
PYTHON = sys.executable  # a name of its own in the command: another interpreter is no reason to run again
JOBS = max(1, int(config.get("jobs") or 1))
FOLDER = Path(config.get("notebooks") or paths.NOTEBOOKS).resolve()
BUILD = Path(config.get("build") or paths.BUILD).resolve()
LESSONS = notebooks.lesson_files(FOLDER)
DECLARED = {name: notebooks.declaration(notebooks.read(path)) for name, path in LESSONS.items()}
LIBRARY = config.get("library") or notebooks.library_hash()
CHOICE = config.get("lessons", "")
CHOICE = [f"{CHOICE:02d}"] if isinstance(CHOICE, int) else str(CHOICE).replace(",", " ").split()  # snakemake reads 02 as 2
WANTED = [name for name in LESSONS if not CHOICE or name.removeprefix("solutions/").startswith(tuple(CHOICE))]
if CHOICE and not WANTED:
    raise SystemExit(f"error: no lesson begins with {' or '.join(CHOICE)}; there are: {', '.join(LESSONS)}")


def data_name(dataset):
    """The data set in a folder's name: as it is, or a path's last part and a few digits of its hash."""
    return dataset if dataset in parameters.DATASETS else f"{re.sub('[^A-Za-z0-9_-]', '-', Path(dataset).stem)}-{hashlib.sha256(dataset.encode()).hexdigest()[:6]}"


OUT = BUILD / "notebooks" / (PROFILE if DATASET is None else f"{PROFILE}-{data_name(DATASET)}")


def before(wildcards):
    """Executed notebooks that must be there first: what the lesson declares, and for solutions the lesson itself."""
    declared = DECLARED[wildcards.name]
    names = list(declared.after) if declared else []
    if wildcards.name.startswith("solutions/"):
        names.append(wildcards.name.removeprefix("solutions/"))
    return [ancient(str(OUT / f"{name}.ipynb")) for name in names if name in LESSONS and name != wildcards.name]


def minutes(wildcards):
    declared = DECLARED[wildcards.name]
    return (declared.minutes.get(PROFILE) if declared else None) or 30


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
        library=LIBRARY,
        # by the environment, not as a parameter: the executed copy is then the notebook itself, and can be published
        profile=PROFILE,
        dataset="" if DATASET is None else f"-r dataset '{DATASET}'",
        root=str(paths.ROOT),
    threads: max(1, workflow.cores // JOBS) if workflow.cores else 1
    resources:
        runtime=lambda wildcards: int(30 + 3 * minutes(wildcards)),  # minutes, for schedulers
        mem_mb=8000,
    message:
        "{wildcards.name} ({params.profile})"
    shell:
        "cd {params.root:q} && COURSE_PROFILE={params.profile} {PYTHON:q} -m lib.course.guard {input.notebook:q} {output:q} --threads {threads} {params.dataset}"
