"""The reference of the site, read from the files of lib without importing them: a page for each module, made of its
docstrings, and a page that says which function computes which numbered equation of which paper.

Docstrings here are text with a little reStructuredText in it; :func:`markdown` makes MyST of them.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOMS = {  # in the order of CONTRIBUTING's picture
    "data": "Data and protocols",
    "models": "Networks",
    "losses": "Losses",
    "methods": "Methods",
    "training": "Training",
    "evaluation": "Evaluation",
    "experiments": "Experiments",
    "plots": "Figures",
    "course": "The course's tools",
}
OTHER = "Used everywhere"
# The five papers by the words that stand before an equation's number, in the order of the lessons
PAPERS = {
    "SING": r"SING|Jiao et al\.",
    "RIPR": r"RIPR|Mao et al\.",
    "JBIM": r"JBIM|Zheng(?:, Hong| et al\. 2022)",
    "PS-HRNet": r"PS-HRNet|Zhang et al\. 2021",
    "FTWA": r"FTWA",
}
OTHERS = r"[A-Z][\w-]+ et al\.|SRGAN|AGW|XQDA|ibid\."  # whose equation it is instead
BETWEEN = r"(?:'s)?(?: \w+)?[ ,(]*(?:[A-Z]{4,} )?(?:\d{4}[, ]*)?(?:(?:§[\d.]+|Fig\. \d+)[, ]*)*"  # a name and its "Eq."
EQUATION = re.compile(r"\bEqs?\. ?\(?(\d+(?:(?:, | and |-| to )\d+)*)\)?")


@dataclass(frozen=True)
class Definition:
    """A function, class or method. name : as it is imported. kind : "function", "class" or "method"."""

    name: str
    kind: str
    signature: str
    doc: str
    lines: tuple[int, int]  # first and last, from 1
    members: tuple[Definition, ...] = ()


@dataclass(frozen=True)
class Module:
    """A file of lib. name : "lib.data.protocol"."""

    name: str
    file: str  # relative to the repository
    text: str
    doc: str
    definitions: tuple[Definition, ...]

    @property
    def room(self) -> str:
        part = self.name.split(".")[1] if "." in self.name else ""
        return ROOMS.get(part, OTHER)

    def at(self, line: int) -> str:
        """The name of the innermost public definition around a line; the module's own outside of all."""
        found = self.name
        waiting = list(self.definitions)
        while waiting:
            one = waiting.pop()
            if one.lines[0] <= line <= one.lines[1]:
                found, waiting = one.name, list(one.members)
        return found


@dataclass(frozen=True)
class Place:
    """Where an equation is computed: the definition, the line, and the words that say so."""

    paper: str
    number: int
    where: str
    line: int
    module: Module
    words: str


def read(root: Path) -> list[Module]:
    """All modules of ``root``/lib, by name; ``__init__`` files count where they say something."""
    found = []
    for path in sorted((root / "lib").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        doc = ast.get_docstring(tree) or ""
        if doc and not any(part.startswith("_") for part in name.split(".")):
            found.append(
                Module(name, path.relative_to(root).as_posix(), text, doc, tuple(_definitions(tree.body, name)))
            )
    return found


def _definitions(body: Iterable[ast.stmt], where: str, within: bool = False) -> Iterator[Definition]:
    for node in body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.startswith("_"):
            continue
        name = f"{where}.{node.name}"
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        doc, lines = ast.get_docstring(node) or "", (first, node.end_lineno or node.lineno)
        if isinstance(node, ast.ClassDef):
            members = tuple(_definitions(node.body, name, within=True))
            yield Definition(name, "class", _signature_of_class(node), doc, lines, members)
        else:
            yield Definition(name, "method" if within else "function", _signature(node, within), doc, lines)


def _signature(node: ast.FunctionDef, within: bool) -> str:
    """ "(a, b=1) -> int", without ``self``; a property has none."""
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    if {"property", "functools.cached_property", "cached_property"} & decorators:
        return ""
    arguments = node.args
    if within and arguments.args and "staticmethod" not in decorators:
        arguments = ast.arguments(**{**dict(ast.iter_fields(arguments)), "args": arguments.args[1:]})
    returned = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    return f"({ast.unparse(arguments)}){returned}"


def _signature_of_class(node: ast.ClassDef) -> str:
    """Of ``__init__``, or of a dataclass's fields; nothing for what is made in another way."""
    for child in node.body:
        if isinstance(child, ast.FunctionDef) and child.name == "__init__":
            return _signature(child, within=True).partition(" -> ")[0]
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        fields = [ast.unparse(one) for one in node.body if isinstance(one, ast.AnnAssign)]
        fields = [re.sub(r"\s*=\s*field\(.*", "=…", text) for text in fields if "init=False" not in text]
        return f"({', '.join(fields)})" if all("=" not in text or "…" not in text for text in fields) else ""
    return ""


# ------------------------------------------------------------------ docstrings


CODE = re.compile(r"``(.+?)``|:(?:\w+:)?\w+:`~?([^`]+)`|`([^`]+)`")
SIGNS = re.compile(r"([\\*_\[\]<>$#{}|~])")
EMPHASIS = re.compile(r"(?<![\w*])\\\*(\w(?:[^*\n]*\w)?)\\\*(?![\w*])")  # *word*, its stars escaped
ITEM = re.compile(r"([\w*][\w*.,=\[\] ]{0,60}?) : (.*)")


def inline(text: str) -> str:
    """A line of a docstring as MyST: names in code, everything else as it stands."""
    parts, end = [], 0
    for found in CODE.finditer(text):
        parts += [_plain(text[end : found.start()]), f"`{found[1] or found[2] or found[3]}`"]
        end = found.end()
    return "".join([*parts, _plain(text[end:])])


def _plain(text: str) -> str:
    """Text in which only *emphasis* of words is more than the signs that stand there."""
    return EMPHASIS.sub(r"*\1*", SIGNS.sub(r"\\\1", text))


def markdown(doc: str) -> str:
    """A docstring as MyST: headings of sections in bold, ``name : text`` as a list, tables and indented lines as they
    are.
    """
    lines = doc.splitlines()
    made: list[str] = []
    at = 0
    while at < len(lines):
        line, following = lines[at], lines[at + 1] if at + 1 < len(lines) else ""
        if re.fullmatch(r"-{3,}", following) and line.strip():  # Parameters, Raises
            made += ["", f"**{line.strip()}**", ""]
            at += 2
        elif re.fullmatch(r"=+( +=+)+", line):  # a table, to its third line of =
            edges = [n for n in range(at, len(lines)) if re.fullmatch(r"=+( +=+)+", lines[n])]
            end = edges[2] if len(edges) > 2 else edges[-1]
            made += ["", "```text", *lines[at : end + 1], "```", ""]
            at = end + 1
        elif line.startswith("    ") and (not made or not made[-1] or made[-1] == "```"):  # a formula, a call
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            block = "\n".join(text[4:] for text in lines[at:end]).rstrip()
            made += ["", "```text", block, "```", ""]
            at = end
        elif (item := ITEM.fullmatch(line)) and not line.startswith("- "):
            text = [item[2]]
            while at + 1 < len(lines) and lines[at + 1].startswith("    "):
                at += 1
                text.append(lines[at].strip())
            if made and made[-1] and not made[-1].startswith("- "):
                made.append("")
            made.append(f"- `{item[1]}`: {inline(' '.join(text))}")
            at += 1
        elif line.startswith("- ") or re.match(r"\d+\. ", line):
            text = [line]
            while at + 1 < len(lines) and lines[at + 1].startswith("  "):
                at += 1
                text.append(lines[at].strip())
            if made and made[-1] and not re.match(r"- |\d+\. ", made[-1]):
                made.append("")
            mark, _, rest = " ".join(text).partition(" ")
            made.append(f"{mark} {inline(rest)}")
            at += 1
        elif re.match(r"[A-Za-z]\w*(?:\([^)]*\))? = ", line):  # a formula on its own line
            made += ["", "```text", line, "```", ""]
            at += 1
        else:
            if made and made[-1].startswith(("- ", "1. ")) and line.strip():
                made.append("")
            made.append(inline(line.strip()))
            at += 1
    return re.sub(r"\n{3,}", "\n\n", "\n".join(made)).strip()


def module_page(module: Module) -> str:
    """The page of a module: its text, then every public definition with its signature. It stands in no table of
    contents: two hundred lines beside every page help nobody, and took most of the time that the site took.
    """
    summary, _, rest = module.doc.partition("\n\n")
    target = f"```{{py:module}} {module.name}\n```"
    parts = ["---\norphan: true\n---", f"# {module.name}", target, f"`{module.file}` · {{doc}}`/reference`"]
    parts += [markdown(summary), markdown(rest)]
    parts += [_directive(one, 0) for one in module.definitions]
    return "\n\n".join(part for part in parts if part) + "\n"


def _directive(one: Definition, depth: int) -> str:
    fence = ":" * (9 - 2 * depth)
    kind = one.kind if one.signature or one.kind != "method" else "attribute"
    inner = "\n\n".join([markdown(one.doc), *(_directive(member, depth + 1) for member in one.members)]).strip()
    name = one.name.rpartition(".")[2]  # Sphinx puts the module's and the class's before it
    return f"{fence}{{py:{kind}}} {name}{one.signature}\n\n{inner}\n{fence}"


# ------------------------------------------------------------------ equations


def equations(modules: Iterable[Module]) -> list[Place]:
    """Every place of lib that says which numbered equation of the five papers it computes, in the order of papers and
    numbers. Figures and the course's tools compute none.
    """
    found = []
    for module in modules:
        if module.room in (ROOMS["plots"], ROOMS["course"], OTHER if module.name != "lib.losses" else ""):
            continue
        summary = module.doc.partition("\n\n")[0]
        first = {match.start(): paper for paper, words in PAPERS.items() if (match := re.search(words, summary))}
        usual = first[min(first)] if first else None
        for line, text in _remarks(module.text):
            for match in EQUATION.finditer(text):
                paper = _paper(text[: match.start()], usual, text)
                words = _sentence(text, match.start(), match.end())
                at = line + text[: match.start()].count("\n")
                if paper:
                    found += [Place(paper, number, module.at(at), at, module, words) for number in numbers(match[1])]
    order = list(PAPERS)
    return sorted(set(found), key=lambda place: (order.index(place.paper), place.number, place.where, place.line))


def numbers(text: str) -> list[int]:
    """ "2, 3, 5" and "6-8", "6 to 9", "2 and 3" as numbers."""
    found: list[int] = []
    for part in re.split(r", | and ", text):
        first, _, last = part.replace(" to ", "-").partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _remarks(text: str) -> Iterator[tuple[int, str]]:
    """(first line, text) of every docstring and comment."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            yield node.body[0].lineno, node.body[0].value.value
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")


def _paper(before: str, usual: str | None, doc: str) -> str | None:
    """Whose equation it is: the paper whose name stands right before the number; else the module's; else the only one
    that the remark names. None for another paper's.
    """
    for paper, words in PAPERS.items():
        if re.search(rf"(?:{words}){BETWEEN}$", before):
            return paper
    if re.search(rf"(?:{OTHERS}){BETWEEN}$", before):
        return None
    named = [paper for paper, words in PAPERS.items() if re.search(words, doc)]
    return usual or (named[0] if len(named) == 1 else None)


def _sentence(text: str, start: int, end: int) -> str:
    """The line that the number stands on, without the blanks of a layout."""
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end)
    return " ".join(text[first : len(text) if last < 0 else last].split())


def in_table(text: str) -> str:
    """A line of a docstring as a cell of a table: no bar in it ends the cell."""
    return re.sub(r"(?<!\\)\|", r"\\|", inline(text))


def equations_page(places: Iterable[Place]) -> str:
    """A table for each paper: equation, where it is computed (a link), and what stands there."""
    parts = [
        "# Equations to code",
        "Which definition computes which numbered equation of which paper: read from the docstrings and the comments "
        "beside the lines.",
    ]
    by_paper: dict[str, list[Place]] = {}
    for place in places:
        by_paper.setdefault(place.paper, []).append(place)
    for paper, some in by_paper.items():
        rows = ["| equation | computed in | what stands there |", "|---|---|---|"]
        rows += [
            f"| {place.number} | {{py:obj}}`{place.where.removeprefix('lib.')} <{place.where}>`, line {place.line} | "
            f"{in_table(place.words)} |"
            for place in some
        ]
        parts += [f"## {paper}", "\n".join(rows)]
    return "\n\n".join(parts) + "\n"
