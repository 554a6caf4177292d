"""Store executed notebooks as the committed ones, cleaned of what a machine leaves in them.

    python -m lib.course.publish                      all lessons and solutions that `make all` has run (make publish)
    python -m lib.course.publish --store OUT TARGET   one executed copy

Text, code, ids and tags stay as they are in the target; outputs and counts come from the run. One line of text is
written: "The answer, measured" in the title cell is what the run's ``lesson.answer`` said. A notebook
that was changed since it ran, that failed, or that breaks a rule of ``structure`` is refused, with the reason.
"""

from __future__ import annotations

import argparse
import base64
import copy
import io
import re
import sys
from pathlib import Path

import nbformat
import numpy as np

from lib.course import contents, exercises, parameters, paths, structure
from lib.course import notebook as notebooks
from lib.course.notebook import NotebookError
from lib.course.parameters import ParameterError

KEPT = ("tags", structure.COLLAPSED)  # of a cell's metadata
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {
    "name": "python"
}  # without the version: the first output says it, and a new Python must not change every notebook


def merge(executed: nbformat.NotebookNode, committed: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The committed notebook with the outputs of the executed one.

    Cells that papermill injected are dropped and the counts close up. NotebookError when the code is not the same.
    """
    theirs = [cell for cell in notebooks.code_cells(executed) if "injected-parameters" not in notebooks.tags(cell)]
    result = copy.deepcopy(committed)
    ours = notebooks.code_cells(result)
    if [cell.source for cell in theirs] != [cell.source for cell in ours]:
        raise NotebookError("its code has changed since it was run: run it again")
    for number, (cell, done) in enumerate(zip(ours, theirs, strict=True), 1):
        if done.execution_count is None:
            raise NotebookError(f"code cell {number} was not run")
        cell.outputs, cell.execution_count = clean_outputs(done.outputs), number
        checked = cell.source.startswith(structure.CHECK)  # what is compared stays whole
        for output in cell.outputs:
            if not checked and "text/html" in output.get("data", {}):
                output.data.pop("text/plain", None)  # the same table once more, wrapped to a terminal's width
            if output.output_type == "execute_result":
                output.execution_count = number
    for cell in result.cells:
        cell.metadata = nbformat.from_dict(
            {key: value for key, value in cell.metadata.items() if key in KEPT and value}
        )
        if cell.cell_type == "code" and not cell.source.strip():
            cell.outputs, cell.execution_count = [], None
    if said := structure.answers(result):
        result.cells[0].source = structure.with_answer(result.cells[0].source, said[0])
    result.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": LANGUAGE})
    return result


def clean_outputs(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Outputs without widgets and progress bars; neighbouring text joined, our own folder taken out of paths, pictures
    packed.

    A warning on stderr is kept: the structure rules then refuse the notebook, because its cause is to be removed, not
    its trace.
    """
    cleaned: list[nbformat.NotebookNode] = []
    for output in copy.deepcopy(outputs):
        output.pop("transient", None)
        if output.output_type == "stream":
            output.text = _shown_text(output.text)
            if output.name == "stderr" and structure.PROGRESS.search(output.text):
                output.text = ""
            if cleaned and cleaned[-1].output_type == "stream" and cleaned[-1].name == output.name:
                cleaned[-1].text += output.text
                continue
            if not output.text:
                continue
        elif "data" in output:
            if any(kind.startswith("application/vnd.jupyter.widget") for kind in output.data):
                continue
            if not any(output.data.values()):  # a line of progress that was emptied (lib.bars)
                continue
            texts = {kind: {"alt": about["alt"]} for kind, about in output.metadata.items() if "alt" in about}
            output.metadata = nbformat.from_dict(texts)  # of a picture's metadata only its text
            for kind, value in output.data.items():
                if kind.startswith("text/"):
                    output.data[kind] = _without_root("".join(value))
                elif kind == "image/png":
                    output.data[kind] = pack_png(value)
        cleaned.append(output)
    return cleaned


def _shown_text(text: str) -> str:
    """Text as a terminal shows it: what a carriage return overwrote is gone, colours too."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).replace("\r\n", "\n")
    return _without_root("\n".join(line.rsplit("\r", 1)[-1] for line in text.split("\n")))


def _without_root(text: str) -> str:
    return text.replace(f"{paths.ROOT}/", "").replace(str(paths.ROOT), ".")


LOSSLESS = 25_000  # bytes; a larger picture is stored in 128 colours, and the file in figures/ has them all
CHART = 12_000  # bytes; a larger chart is stored in the fewest of these colours with which nobody sees it:
FEW = (32, 64)
UNSEEN = 0.5  # mean difference of its pixels, of 255


def pack_png(encoded: str) -> str:
    """The same picture in fewer bytes (base64 in and out): losslessly where that is enough, else in 128 colours; a
    chart, which comes in a palette, in fewer where they are as good as its own.
    """
    from PIL import Image

    from lib.plots.palette import few_colours

    original = base64.b64decode(encoded)
    versions = [original]
    with Image.open(io.BytesIO(original)) as picture:
        if picture.mode == "RGBA" and picture.getextrema()[3] == (255, 255):
            picture = picture.convert("RGB")
        versions.append(_png(picture))
        if min(map(len, versions)) > LOSSLESS and picture.mode == "RGB":
            versions.append(_png(picture.quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)))
        if min(map(len, versions)) > CHART and picture.mode == "P":
            whole = picture.convert("RGB")
            for few in (few_colours(whole, colours) for colours in FEW):
                apart = np.asarray(whole, float) - np.asarray(few.convert("RGB"), float)  # (H, W, 3)
                if np.abs(apart).mean() <= UNSEEN:
                    versions.append(_png(few))
                    break
    return base64.b64encode(min(versions, key=len)).decode("ascii") + "\n"


def _png(picture) -> bytes:
    packed = io.BytesIO()
    picture.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def store(executed: Path, target: Path, name: str | None = None) -> list[str]:
    """Put the outputs of `executed` into the committed notebook `target`; returns the problems, and writes only when
    there are none.
    """
    name = name or (f"solutions/{target.stem}" if target.parent.name == "solutions" else target.stem)
    try:
        merged = merge(notebooks.read(executed), notebooks.read(target))
    except NotebookError as error:
        return [str(error)]
    candidate = paths.BUILD / "publish" / f"{name}.ipynb"
    notebooks.write(merged, candidate)
    problems = structure.problems(candidate, name)
    if not problems:
        notebooks.write(merged, target)
    return problems


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 when a notebook could not be stored."""
    parser = argparse.ArgumentParser(prog="python -m lib.course.publish", description=__doc__.split("\n\n")[0])
    parser.add_argument("--store", nargs=2, type=Path, metavar=("OUT", "TARGET"))
    parser.add_argument("--profile", default="course")
    parser.add_argument("names", nargs="*", help="lessons; all when left out")
    arguments = parser.parse_args(argv)
    if arguments.store:
        jobs = {arguments.store[1].stem: tuple(arguments.store)}
    else:
        files, ran = notebooks.lesson_files(), paths.BUILD / "notebooks" / arguments.profile
        try:
            parameters.resolve_profile(arguments.profile)
            chosen = notebooks.choose(files, " ".join(arguments.names))
        except (NotebookError, ParameterError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        jobs = {name: (ran / f"{name}.ipynb", files[name]) for name in chosen}
    refused = 0
    for name, (executed, target) in jobs.items():
        try:
            problems = store(executed, target)
        except OSError as error:  # a full disk; what was stored before it stays, and the target is as it was
            print(f"error: {target.name} is as it was: {error}", file=sys.stderr)
            return 1
        refused += bool(problems)
        print(f"{name}: " + ("stored" if not problems else "refused"))
        for problem in problems:
            print(f"    {problem}")
    if not arguments.store:
        try:
            for path in [*exercises.generate(), *contents.generate()]:
                print(f"wrote: {paths.relative(path)}")
        except NotebookError as error:  # a lesson that README does not know
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
