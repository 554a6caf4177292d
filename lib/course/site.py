"""``make site``: the course as web pages, from the stored outputs alone. No lesson is run, nothing is fetched.

    python -m lib.course.site [--out build/site]

Pages are prepared in ``build/site/source`` and built into ``build/site/html`` by Sphinx with MyST-NB and furo, where
every warning is an error. A page stands where its file stands in the repository, so that links between them stay as
they are; a link to a file of lib leads to its page in the reference, one to another file hands the file out. MathJax is
carried along. What Sphinx needs is the extra ``site`` of pyproject.toml; lib itself is read, not imported.
"""

from __future__ import annotations

import argparse
import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import resources, util
from pathlib import Path

import nbformat

from lib.course import notebook as notebooks
from lib.course import paths, reference, structure

SITE = paths.ROOT / "site"  # what is written by hand: index, glossary, settings, style
EXPLORER = paths.ROOT / "build" / "explore.html"  # python -m lib.course.explore_page
NEEDS = {"sphinx": "sphinx", "myst_nb": "myst-nb", "furo": "furo", "mathjax": "django-static-mathjax"}
# The problem, and what is left of each method. Of lesson 90 the sections that need no lesson before it
HOUR = {"00": (), "90": ("The question", "What the papers claim", "Published beside measured", "What we see")}
DAY = ("00", "01", "02", "03", "04", "05", "10", "90")  # how it is measured, and one method whole
TEXTS = ("data/README.md", "CONTRIBUTING.md", "VERDICTS.md")  # pages where they exist
EXPLAINED = ("VERDICTS.md",)  # those of them for who reads, not for who writes code: with links to the glossary
FOLDERS = {  # the page that a link to a folder leads to
    "notebooks": "/index.md",
    "notebooks/exercises": "/exercises.md",
    "notebooks/solutions": "/solutions.md",
    "lib": "/reference.md",
}
# What is no text of its own: code, formulas, links, roles, headings
APART = re.compile(
    r"```.*?```|(?:\{[\w:]+\})?`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|!?\[[^\]]*\]\([^)]*\)|^#.*?$|<[^>\n]+>",
    re.DOTALL | re.MULTILINE,
)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
FOLDED = "hide-input"


class SiteError(RuntimeError):
    """The site cannot be built; the message says what is missing or wrong."""


def lacking() -> list[str]:
    """The packages of the extra ``site`` that are not installed here."""
    return [package for module, package in NEEDS.items() if util.find_spec(module) is None]


def build(out: Path) -> Path:
    """Prepare the pages and build them; returns the folder of the pages.

    SiteError where a package is missing, a link leads nowhere, or Sphinx warns of anything.
    """
    if missing := lacking():
        raise SiteError(f"{', '.join(missing)} is not installed: make site does it, or pip install -e '.[site]'")
    source, html = out / "source", out / "html"
    for folder in (source, html):
        shutil.rmtree(folder, ignore_errors=True)
    prepare(source)
    call = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-d", str(out / "doctrees")]
    done = subprocess.run([*call, str(source), str(html)], check=False, capture_output=True, text=True)
    if done.returncode:
        raise SiteError(f"Sphinx is not content:\n{done.stderr.strip() or done.stdout.strip()}")
    if EXPLORER.exists():
        shutil.copy(EXPLORER, html / EXPLORER.name)
    return html


def prepare(source: Path) -> None:
    """Write all pages, and what they need, into ``source``."""
    modules = reference.read(paths.ROOT)
    pages = Pages(source, modules)
    terms = glossary_terms((SITE / "glossary.md").read_text(encoding="utf-8"))
    files = sorted(
        path for folder in (".", "exercises", "solutions") for path in (paths.NOTEBOOKS / folder).glob("*.ipynb")
    )
    for path in files:
        where = path.relative_to(paths.ROOT)
        notebook = shown(notebooks.read(path))
        link_texts(notebook, lambda text, where=where: pages.relinked(text, where), terms)
        notebooks.write(notebook, source / where)
    for name in TEXTS:
        if (paths.ROOT / name).exists():
            text = pages.relinked((paths.ROOT / name).read_text(encoding="utf-8"), Path(name))
            pages.write(name, with_terms(text, terms, set()) if name in EXPLAINED else text)
    for name in ("exercises", "solutions"):
        pages.write(f"{name}.md", listing(name.capitalize(), f"notebooks/{name}", files, INTRODUCTIONS[name]))
    for module in modules:
        pages.write(f"reference/{module.name}.md", reference.module_page(module))
    pages.write("reference.md", reference_page(modules))
    pages.write("equations.md", reference.equations_page(reference.equations(modules)))
    shutil.copy(SITE / "glossary.md", source / "glossary.md")
    for name, made in (("teaching.md", teaching), ("index.md", index)):
        text = made((SITE / name).read_text(encoding="utf-8"), notebooks.lesson_files())
        pages.write(name, with_terms(text, terms, set()))
    shutil.copy(SITE / "conf.py", source / "conf.py")
    static = source / "_static"
    static.mkdir()
    for name in ("course.css", "favicon.svg"):
        shutil.copy(SITE / name, static / name)
    carry_mathjax(static / "mathjax")


FOLD = '<details class="beyond"><summary>{}: show it</summary>'
SUMMARIES = {structure.BEYOND: "Beyond the core of this lesson", structure.TEST: "A test that it does not survive"}
TRY = (
    f'**A minute, to see it.** <a href="{EXPLORER.name}">Find a person</a> at any resolution, by any of the methods: '
    "one page, nothing to install.\n\n"
)
INTRODUCTIONS = {
    "exercises": "To each lesson. `make lab` in the repository opens copies of your own, which are never overwritten.",
    "solutions": "One way to answer each exercise, with what it prints.",
}


class Pages:
    """The folder of pages, and where a link of the repository leads in it."""

    def __init__(self, source: Path, modules: Sequence[reference.Module]):
        self.source = source
        self.modules = {module.file: module for module in modules}

    def write(self, name: str, text: str) -> None:
        target = self.source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def relinked(self, text: str, where: Path) -> str:
        """The text of the file ``where`` (relative to the repository) with links that lead somewhere in the site."""

        def relink(found: re.Match) -> str:
            image, label, target = found.groups()
            if re.match(r"[a-z]+:|#", target):
                return found[0]
            path, _, anchor = target.partition("#")
            file = (paths.ROOT / where.parent / path).resolve()
            if not file.is_relative_to(paths.ROOT) or not file.exists():
                raise SiteError(f"{where} links {target}, which is not there")
            name = file.relative_to(paths.ROOT).as_posix()
            if name in self.modules:
                module = self.modules[name]
                line = re.match(r"L(\d+)", anchor)
                return f"{{py:obj}}`{label} <{module.at(int(line[1])) if line else module.name}>`"
            if name in FOLDERS:
                return f"[{label}]({FOLDERS[name]})"
            if name == "README.md":
                return f"[{label}](/index.md)"
            if file.is_dir():
                raise SiteError(f"{where} links the folder {name}, which is no page: name it in FOLDERS")
            if not (file.suffix == ".ipynb" and file.is_relative_to(paths.NOTEBOOKS)) and name not in TEXTS:
                (self.source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, self.source / name)  # handed out as it is
                return f"![{label}](/{name})" if image else f"{{download}}`{label} </{name}>`"
            return found[0]

        pieces, end = [], 0
        for code in re.finditer(r"```.*?```|`[^`\n]*`(?!\])", text, re.DOTALL):
            pieces += [LINK.sub(relink, text[end : code.start()]), code[0]]
            end = code.end()
        return "".join([*pieces, LINK.sub(relink, text[end:])])


def shown(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A notebook as the site shows it: plots and preparations folded, and what is beyond the core; figures' texts where
    MyST-NB looks for them.
    """
    notebook.cells = notebooks.own_cells(notebook)
    for first, end in reversed(structure.sections_folded(notebook)):  # the last first: the others keep their places
        heading, _, text = notebook.cells[first].source.partition("\n")
        summary = next(said for start, said in SUMMARIES.items() if heading.startswith(start))
        notebook.cells[first].source = f"{heading}\n\n{FOLD.format(summary)}\n\n{text.strip()}".rstrip()
        notebook.cells.insert(end, nbformat.v4.new_markdown_cell("</details>"))
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        tags = notebooks.tags(cell)
        if is_aside(cell) and FOLDED not in tags:
            cell.metadata["tags"] = [*tags, FOLDED]
        about = [one for output in cell.outputs for one in output.get("metadata", {}).values() if "alt" in one]
        if said := " ".join(one["alt"] for one in about):
            cell.metadata["mystnb"] = {"image": {"alt": said}}
    return notebook


def link_texts(notebook: nbformat.NotebookNode, relinked: Callable[[str], str], terms: Sequence[str]) -> None:
    """Change the texts of a notebook, cells and outputs: ``relinked``, and each of ``terms`` linked at its first
    mention.
    """
    linked: set[str] = set()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = with_terms(relinked(cell.source), terms, linked)
        for output in cell.get("outputs", []):
            if "text/markdown" in output.get("data", {}):
                text = relinked("".join(output.data["text/markdown"]))
                output.data["text/markdown"] = with_terms(text, terms, linked)


def is_aside(cell: nbformat.NotebookNode) -> bool:
    """Code that who reads for the idea passes over: parameters, ``begin``, imports alone, and what draws a figure."""
    if "parameters" in notebooks.tags(cell) or re.search(r"\bbegin\(|\blesson\.save\(|\bplt\.", cell.source):
        return True
    try:
        body = ast.parse(cell.source).body
    except SyntaxError:
        return False
    return bool(body) and all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in body)


def glossary_terms(text: str) -> list[str]:
    """The terms of the glossary: the lines of its block that begin at the left."""
    block = re.search(r"```\{glossary\}\n(.*?)```", text, re.DOTALL)
    if block is None:
        raise SiteError("site/glossary.md has no {glossary} block")
    return [line.strip() for line in block[1].splitlines() if line.strip() and not line.startswith(" ")]


def with_terms(text: str, terms: Sequence[str], linked: set[str]) -> str:
    """The text with the first mention of each term linked to the glossary; ``linked`` is what the page has already."""
    names = "|".join(re.escape(term) for term in sorted(terms, key=len, reverse=True))
    mention = re.compile(rf"(?<![\w/.-])(?:{names})(?![\w/-]|\.\w)")

    def link(found: re.Match) -> str:
        if found[0] in linked:
            return found[0]
        linked.add(found[0])
        return f"{{term}}`{found[0]}`"

    pieces, end = [], 0
    for apart in APART.finditer(text):
        pieces += [mention.sub(link, text[end : apart.start()]), apart[0]]
        end = apart.end()
    return "".join([*pieces, mention.sub(link, text[end:])])


# ------------------------------------------------------------------ pages that are made


def index(text: str, files: Mapping[str, Path]) -> str:
    """The first page: ways through the course, and the table of its lessons."""
    lessons = {name: notebooks.read(path) for name, path in files.items() if "/" not in name}
    rows = ["| lesson | what it asks | what was measured | study | machine |", "|---|---|---|---|---|"]
    reading = {}
    for name, notebook in lessons.items():
        said = structure.answers(notebook)
        study = structure.STUDY.search(notebook.cells[0].source)
        reading[name[:2]] = int(study[1]) if study else 0
        minutes = notebooks.duration(notebooks.declared_minutes(notebook, "course"))
        cells = [link(name, notebook), question(notebook), said[0] if said else ""]
        cells += [f"{study[1]}{f' + {study[2]}' if study[2] else ''} min" if study else "", minutes]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")

    def way(chosen: Callable[[str], bool]) -> str:
        return " · ".join(link(name, notebook) for name, notebook in lessons.items() if chosen(name[:2]))

    hour = {name[:2]: passage(name, notebook) for name, notebook in lessons.items() if name[:2] in HOUR}
    made = {
        **{f"hour_{number}": text for number, text in hour.items()},
        "day": way(lambda number: number in DAY),
        "rest": way(lambda number: number not in DAY),
        "day_hours": f"{sum(reading.get(number, 0) for number in DAY) / 60:.0f}",
        "all_hours": f"{sum(reading.values()) / 60:.0f}",
        "table": "\n".join(rows),
        "explore": TRY if EXPLORER.exists() else "",
        "board": "VERDICTS\n" if (paths.ROOT / "VERDICTS.md").exists() else "",
    }
    return re.sub(r"\{\{ (\w+) \}\}", lambda found: made[found[1]], text)


def passage(name: str, notebook: nbformat.NotebookNode) -> str:
    """What is read of a lesson in an hour: all of it with its minutes, or links to sections.

    SiteError for a section that the lesson does not have.
    """
    if not (sections := HOUR[name[:2]]):
        study = structure.STUDY.search(notebook.cells[0].source)
        return f"{link(name, notebook)} ({study[1]} minutes)"
    there = {line[3:] for cell in notebook.cells for line in cell.source.splitlines() if line.startswith("## ")}
    if lost := set(sections) - there:
        raise SiteError(f"lesson {name} has no section {', '.join(sorted(lost))}: HOUR names it")
    parts = [f"[{one}](notebooks/{name}.ipynb#{one.lower().replace(' ', '-')})" for one in sections]
    return f"{link(name, notebook)}: {', '.join(parts)}"


def teaching(text: str, files: Mapping[str, Path]) -> str:
    """The instructor's page: its plans, and under each lesson the questions to predict with what was measured."""
    parts = []
    for name, path in files.items():
        notebook = notebooks.read(path)
        asked, found = structure.questions(notebook), structure.became(notebook)
        if "/" in name or not asked:
            continue
        lines = [f"{number}. {question} *{found.get(number, 'not run yet')}*" for number, question in asked.items()]
        parts.append("\n".join([f"### {link(name, notebook)}", "", *lines]))
    made = {"predictions": "\n\n".join(parts), "explore": TRY if EXPLORER.exists() else ""}
    return re.sub(r"\{\{ (\w+) \}\}", lambda got: made[got[1]], text)


def link(name: str, notebook: nbformat.NotebookNode) -> str:
    return f"[{notebooks.title(notebook)}](notebooks/{name}.ipynb)"


def question(notebook: nbformat.NotebookNode) -> str:
    """The first question that is asked under "The question"; the first sentence where none is."""
    for cell in notebook.cells:
        found = re.search(r"^## The question\s+(.+?)(?:^#|\Z)", cell.source, re.DOTALL | re.MULTILINE)
        if cell.cell_type == "markdown" and found:
            plain = " ".join(found[1].replace("**", "").split())  # a question may be bold to its mark
            sentences = re.split(r"(?<=[.?!])\s+", plain)
            asked = [sentence for sentence in sentences if sentence.endswith("?")]
            return LINK.sub(r"\2", (asked or sentences)[0])
    return ""


def listing(title: str, folder: str, files: Sequence[Path], introduction: str) -> str:
    """A page that lists the notebooks of a folder."""
    chosen = [path.stem for path in files if path.parent == paths.ROOT / folder]
    entries = "\n".join(f"{folder}/{stem}" for stem in chosen)
    return f"# {title}\n\n{introduction}\n\n```{{toctree}}\n:maxdepth: 1\n\n{entries}\n```\n"


def reference_page(modules: Sequence[reference.Module]) -> str:
    """The modules, room by room, each with the first sentence of its docstring."""
    parts = ["# Reference", "What each module of `lib` holds, from its docstrings; rooms as in {doc}`CONTRIBUTING`."]
    for room in [*reference.ROOMS.values(), reference.OTHER]:
        some = [module for module in modules if module.room == room]
        lines = []
        for module in some:
            first = re.split(r"(?<=\.)\s(?=[A-Z])", " ".join(module.doc.partition("\n\n")[0].split()))[0]
            lines.append(f"- [{module.name}](reference/{module.name}.md): {reference.inline(first)}")
        parts += [f"## {room}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def carry_mathjax(target: Path) -> None:
    """MathJax and its fonts, as the package django-static-mathjax (which needs no Django) brings them."""
    whole = resources.files("mathjax") / "static" / "mathjax"
    for name in ("es5/tex-chtml.js", "LICENSE"):
        with resources.as_file(whole / name) as file:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target / Path(name).name)
    fonts = "output/chtml/fonts/woff-v2"
    with resources.as_file(whole / "es5" / fonts) as folder:
        shutil.copytree(folder, target / fonts)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; exit code 1 where the site cannot be built without a warning."""
    parser = argparse.ArgumentParser(prog="python -m lib.course.site", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=paths.BUILD / "site")
    arguments = parser.parse_args(argv)
    try:
        html = build(arguments.out)
    except SiteError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    pages = sorted(html.rglob("*.html"))
    size = sum(path.stat().st_size for path in html.rglob("*") if path.is_file())
    print(f"{len(pages)} pages, {size / 2**20:.1f} MB: {paths.relative(html / 'index.html')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
