"""The course as web pages: what is made of notebooks and docstrings, and that the whole of it leads somewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest

from lib.course import notebook as notebooks
from lib.course import paths, reference, site, structure

GLOSSARY = (site.SITE / "glossary.md").read_text(encoding="utf-8")
KNOWN = {  # what needs no explanation here: venues, and what everybody has on a desk
    *("AAAI", "CVPR", "CVPRW", "ECCV", "ICCV", "ICIP", "IJCAI", "IJCV", "IEEE", "TIP"),
    *("CPU", "GPU", "GPUs", "CUDA", "CSV", "JSON", "PNG", "JPEG", "RGB", "MATLAB", "OpenCV", "README", "SHA"),
}


# ---------------------------------------------------------------- text


def test_a_term_is_linked_where_it_first_stands():
    linked = set()
    terms = ["SR", "SING", "mAP", "MLR-VIPeR", "VIPeR"]
    text = "# SING\n\nSING's mAP, `mAP`, $SR$ and [SR](x.md): SING, MLR-VIPeR, SR-like, VIPeR.\n\n```\nSR\n```\n"
    assert site.with_terms(text, terms, linked) == (
        "# SING\n\n{term}`SING`'s {term}`mAP`, `mAP`, $SR$ and [SR](x.md): SING, {term}`MLR-VIPeR`, SR-like, "
        "{term}`VIPeR`.\n\n```\nSR\n```\n"
    )
    assert site.with_terms("SR and SING", terms, linked) == "{term}`SR` and SING"  # the page goes on


def test_terms_are_linked_in_what_a_lesson_says_of_its_results():
    said = nbformat.v4.new_output("display_data", {"text/markdown": ["SR is no ", "mAP."], "text/plain": "SR"})
    cells = [nbformat.v4.new_markdown_cell("An SR."), nbformat.v4.new_code_cell("SR", outputs=[said])]
    notebook = nbformat.v4.new_notebook(cells=cells)
    site.link_texts(notebook, lambda text: text.replace("no", "not"), ["SR", "mAP"])
    assert notebook.cells[0].source == "An {term}`SR`." and notebook.cells[1].source == "SR"
    assert notebook.cells[1].outputs[0].data == {"text/markdown": "SR is not {term}`mAP`.", "text/plain": "SR"}


def test_the_glossary_knows_every_acronym_of_the_lessons():
    known, unknown = {*site.glossary_terms(GLOSSARY), *KNOWN}, {}
    for path in notebooks.lesson_files().values():
        for cell in notebooks.read(path).cells:
            if cell.cell_type != "markdown":
                continue
            text = re.sub(r"\$\$.*?\$\$|```.*?```|`[^`\n]*`|\$[^$\n]*\$|\]\([^)]*\)", " ", cell.source, flags=re.DOTALL)
            words = re.findall(r"(?<![\w-])[A-Za-z]*[A-Z][A-Za-z]*[A-Z][\w]*(?:-[A-Z]\w*)*", text)
            unknown |= {word: path.name for word in words if word not in known and word.rstrip("s") not in known}
    assert unknown == {}, "add them to site/glossary.md"
    assert len(site.glossary_terms(GLOSSARY)) == len(set(site.glossary_terms(GLOSSARY)))


def test_links_lead_to_what_is_a_page(tmp_path):
    pages = site.Pages(tmp_path, reference.read(paths.ROOT))
    where = Path("notebooks/10_sing.ipynb")
    of = lambda text: pages.relinked(text, where)  # noqa: E731
    line = reference_line("lib/methods/sing.py", "def learn")
    assert of(f"[x](../lib/methods/sing.py#L{line}-L{line})") == "{py:obj}`x <lib.methods.sing.Sing.learn>`"
    assert of("[x](../lib/methods/sing.py)") == "{py:obj}`x <lib.methods.sing>`"
    assert of("[a](11_sing_ablations.ipynb) [b](https://x.y) [c](#d)") == (
        "[a](11_sing_ablations.ipynb) [b](https://x.y) [c](#d)"
    )
    assert of("[x](../data/README.md)") == "[x](../data/README.md)"
    assert of("[x](../notebooks) [y](../README.md)") == "[x](/index.md) [y](/index.md)"
    assert of("[x](../CITATION.cff)") == "{download}`x </CITATION.cff>`" and (tmp_path / "CITATION.cff").is_file()
    assert of("`[x](nothing.md)` and `a`[`lib`](../lib)") == "`[x](nothing.md)` and `a`[`lib`](/reference.md)"
    for wrong, why in (("nothing.md", "not there"), ("../../outside.md", "not there"), ("../tests", "is no page")):
        with pytest.raises(site.SiteError, match=why):
            of(f"[x]({wrong})")


def reference_line(file, text):
    lines = (paths.ROOT / file).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_what_is_folded_and_what_figures_say():
    code = nbformat.v4.new_code_cell
    kinds = {"image/png": "A curve.", "image/jpeg": "A face."}
    pictures = [
        nbformat.v4.new_output("display_data", {kind: "x"}, metadata={kind: {"alt": text}, "other": {}})
        for kind, text in kinds.items()
    ]
    cells = [
        code("import a\nfrom b import c"),
        code("seed = 0", metadata={"tags": ["parameters"]}),
        code('lesson = begin(globals(), "x", minutes={})'),
        code('lesson.save(fig, "a")', outputs=pictures),
        code("x = 1\nprint(x)"),
        code("%magic"),
    ]
    shown = site.shown(nbformat.v4.new_notebook(cells=cells))
    assert [site.FOLDED in notebooks.tags(cell) for cell in shown.cells] == [True] * 4 + [False] * 2
    assert shown.cells[1].metadata["tags"] == ["parameters", site.FOLDED]
    assert shown.cells[3].metadata["mystnb"]["image"]["alt"] == "A curve. A face."


def test_what_is_beyond_the_core_is_folded_and_the_end_of_a_hunt():
    """Up to the next heading, with the cells in between; two sections one after the other are two folds."""
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    cells = [
        text("### A"),
        text("### Beyond: b\n\nWhy."),
        code("x = 1"),
        text("So."),
        text("### Beyond: c"),
        code("y = 2"),
    ]
    cells += [text("## D"), text("The end."), text("### The test\n\nof it:"), code("z = 3")]
    shown = [cell.source for cell in site.shown(nbformat.v4.new_notebook(cells=cells)).cells]
    beyond = site.FOLD.format("Beyond the core of this lesson")
    assert shown == [
        "### A", f"### Beyond: b\n\n{beyond}\n\nWhy.", "x = 1", "So.", "</details>",
        f"### Beyond: c\n\n{beyond}", "y = 2", "</details>", "## D", "The end.",
        f"### The test\n\n{site.FOLD.format('A test that it does not survive')}\n\nof it:", "z = 3", "</details>",
    ]  # fmt: skip


def test_the_ways_through_the_course():
    text = "{{ hour_00 }} {{ hour_90 }}\n{{ day }}\n{{ rest }}\n{{ day_hours }} {{ all_hours }}"
    hour, day, rest, hours, *_ = site.index(text, notebooks.lesson_files()).splitlines()
    lessons = [name for name in notebooks.lesson_files() if "/" not in name]
    linked = [re.findall(r"notebooks/(\d\d)_\w+\.ipynb\)", way) for way in (hour, day, rest)]
    assert linked[0] == sorted(site.HOUR) and set(linked[0]) <= set(linked[1])
    assert linked[1] == ["00", "01", "02", "03", "04", "05", "10", "90"]
    assert sorted(linked[1] + linked[2]) == [name[:2] for name in lessons]
    assert "(35 minutes)" in hour and "90_one_protocol.ipynb#published-beside-measured)" in hour
    day_hours, all_hours = map(int, hours.split())
    assert 4 <= day_hours <= 6 < all_hours, "more than a day of reading is no day"


def test_an_hour_names_sections_that_are_there(monkeypatch):
    monkeypatch.setattr(site, "HOUR", {"90": ("The question", "The weather")})
    with pytest.raises(site.SiteError, match="90_one_protocol has no section The weather"):
        site.index("", notebooks.lesson_files())


def test_a_lesson_asks_a_question_also_in_bold():
    files = notebooks.lesson_files()
    asked = {name: site.question(notebooks.read(path)) for name, path in files.items() if "/" not in name}
    assert asked["02_measuring"].startswith("Which rule made one number out of the matrix")
    assert [name for name, question in asked.items() if question and not question.endswith("?")] == []
    assert not any("**" in question for question in asked.values())


def test_the_instructors_page_has_every_question_with_what_was_measured():
    text = site.teaching("{{ explore }}{{ predictions }}", notebooks.lesson_files())
    for name, path in notebooks.lesson_files().items():
        if "/" not in name and name not in structure.FREE:
            notebook = notebooks.read(path)
            asked, found = structure.questions(notebook), structure.became(notebook)
            assert list(asked) == list(found) and asked, name
            for number, question in asked.items():
                assert f"{number}. {question} *{found[number]}*" in text
    assert "not run yet" not in text


def test_the_explorer_is_linked_where_it_was_made(monkeypatch, tmp_path):
    monkeypatch.setattr(site, "EXPLORER", tmp_path / "explore.html")
    assert site.index("{{ explore }}", {}) == ""
    (tmp_path / "explore.html").write_text("<html></html>")
    assert '<a href="explore.html">' in site.index("{{ explore }}", {})


# ---------------------------------------------------------------- docstrings


def test_a_docstring_as_markdown():
    doc = (
        "The *mean* of ``x``, see :func:`lib.a.b`; a_b * c costs $5 [now].\n\n    y = x\n\nParameters\n----------\n"
        "x : (N,) float,\n    finite. rate : in (0, 1].\n\n- one,\n  goes on\n- two\n\nL = a_b\n\n"
        "=====  ===\na      b\n=====  ===\n1      2\n=====  ===\n"
    )
    assert reference.markdown(doc) == (
        "The *mean* of `x`, see `lib.a.b`; a\\_b \\* c costs \\$5 \\[now\\].\n\n"
        "```text\ny = x\n```\n\n**Parameters**\n\n"
        "- `x`: (N,) float, finite. rate : in (0, 1\\].\n\n- one, goes on\n- two\n\n```text\nL = a_b\n```\n\n"
        "```text\n=====  ===\na      b\n=====  ===\n1      2\n=====  ===\n```"
    )


@pytest.fixture
def package(tmp_path):
    """A package of one paper's module, one beside it, and figures."""
    for name, text in {
        "methods/jbim.py": (
            '"""JBIM (Zheng et al. 2022), the journal version of SING.\n\n    L = a  (Eq. 2, 3)\n"""\n\n\n'
            "def _hidden():\n    pass\n\n\n"
            'class Him:\n    """SING with a triplet (Eq. 6-8)."""\n\n'
            "    def __init__(self, a: int, b=1):\n        pass\n\n"
            "    @property\n    def size(self) -> int:\n        return 1  # Eq. 11\n\n"
            "    def loss(self, x, *, y=None) -> float:\n"
            '        """Of Wen et al. 2016, Eq. 4; as SING Eq. 5 and in 9."""\n        return 0.0\n'
        ),
        "models/heads.py": (
            '"""Heads."""\n\n\nclass A:\n    """RIPR\'s r (Eq. 8)."""\n\n\nclass B:\n    """Eq. 1 of nobody."""\n'
        ),
        "plots/x.py": '"""Figures of SING Eq. 2."""\n',
    }.items():
        path = tmp_path / "lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_equations_are_found_beside_the_lines(package):
    found = [(place.paper, place.number, place.where) for place in reference.equations(reference.read(package))]
    him = "lib.methods.jbim.Him"
    assert found == [
        ("SING", 5, f"{him}.loss"),
        ("RIPR", 8, "lib.models.heads.A"),
        ("JBIM", 2, "lib.methods.jbim"),
        ("JBIM", 3, "lib.methods.jbim"),
        *(("JBIM", number, him) for number in (6, 7, 8)),
        ("JBIM", 11, f"{him}.size"),
    ]


def test_definitions_and_their_signatures(package):
    module = next(one for one in reference.read(package) if one.name.endswith("jbim"))
    (him,) = module.definitions
    assert (him.kind, him.signature) == ("class", "(a: int, b=1)")
    assert [(one.name[-4:], one.signature) for one in him.members] == [
        ("size", ""),
        ("loss", "(x, *, y=None) -> float"),
    ]
    page = reference.module_page(module)
    assert "{py:class} Him(a: int, b=1)" in page and "{py:attribute} size" in page and "_hidden" not in page


@pytest.mark.parametrize(
    ("text", "found"), [("2, 3, 5", [2, 3, 5]), ("6-8", [6, 7, 8]), ("6 to 8", [6, 7, 8]), ("2 and 4", [2, 4])]
)
def test_numbers_of_equations(text, found):
    assert reference.numbers(text) == found


def test_the_papers_own_equations_have_code():
    """Every equation that a method's file names stands in its paper's table."""
    found = {(place.paper, place.number) for place in reference.equations(reference.read(paths.ROOT))}
    assert {("SING", number) for number in range(2, 9)} <= found
    assert {("RIPR", number) for number in range(2, 10)} <= found
    assert {("JBIM", number) for number in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17, 18, 19)} <= found


# ---------------------------------------------------------------- the whole


class Page(HTMLParser):
    """What a page links, loads and can be linked at."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.ids, self.images, self.folded = [], [], set(), [], 0
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in ("script", "img") and found.get("src"):
            self.loads.append(found["src"])
        if tag == "link" and found.get("href") and found.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(found["href"])
        if tag == "img":
            self.images.append(found)
        self.folded += tag == "details" and "hide" in found.get("class", "")


@pytest.fixture(scope="module")
def pages(html):
    return {path.relative_to(html).as_posix(): Page(path) for path in html.rglob("*.html")}


def test_every_link_leads_somewhere(html, pages):
    lost = []
    for name, page in pages.items():
        for link in page.links + page.loads:
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = ((html / name).parent / unquote(path.partition("?")[0])).resolve() if path else html / name
            other = pages.get(target.relative_to(html.resolve()).as_posix()) if path else page
            if not target.is_file() or (anchor and other and unquote(anchor) not in other.ids):
                lost.append((name, link))
    assert lost == []


def test_nothing_is_fetched_from_elsewhere(html, pages):
    loads = [(name, link) for name, page in pages.items() for link in page.loads if not link.startswith("data:")]
    assert [(name, link) for name, link in loads if "//" in link] == []
    assert (html / "_static" / "mathjax" / "tex-chtml.js").is_file() and (
        html / "_static" / "mathjax" / "LICENSE"
    ).is_file()
    assert len(list((html / "_static" / "mathjax" / "output").rglob("*.woff"))) > 20
    assert "mathjax/tex-chtml.js" in pages["notebooks/10_sing.html"].text
    assert (html / "searchindex.js").stat().st_size > 100_000 and (html / ".nojekyll").exists()


def test_every_notebook_is_a_page_with_its_neighbours(pages):
    lessons = [name for name in notebooks.lesson_files() if "/" not in name]
    for name in lessons:
        page = pages[f"notebooks/{name}.html"]
        at = lessons.index(name)
        for neighbour in lessons[max(0, at - 1) : at] + lessons[at + 1 : at + 2]:
            assert f"{neighbour}.html" in page.links
        if name in structure.FREE:
            continue
        assert page.folded > 3 and any("glossary.html#term-" in link for link in page.links)
        for kind in ("exercises", "solutions"):
            assert f"notebooks/{kind}/{name}.html" in pages


def test_terms_are_linked_once_on_every_page_that_is_read(pages):
    """On the first page, the verdicts, the instructor's page; a lesson stands for all."""
    for name in ("index.html", "VERDICTS.html", "teaching.html", "notebooks/90_one_protocol.html"):
        terms = [link.partition("#")[2] for link in pages[name].links if "glossary.html#term-" in link]
        assert len(terms) > 5 and len(terms) == len(set(terms)), name


def test_every_figure_says_what_it_shows(pages):
    silent = [
        (name, image["src"])
        for name, page in pages.items()
        for image in page.images
        if not image.get("alt") or "_images/" in image["alt"]
    ]
    assert silent == []


def test_no_formula_is_left_as_text(pages):
    """Where a parser did not see a formula, its TeX stands in the page."""
    for name in notebooks.lesson_files():
        text = pages[f"notebooks/{name}.html"].text
        text = re.sub(
            r"<pre.*?</pre>|<code.*?</code>|<(div|span) class=\"math[^>]*>.*?</\1>", "", text, flags=re.DOTALL
        )
        assert not re.search(r"\\(?:sum|frac|lVert|cdot|mathrm)|\$\$", re.sub(r"<[^>]+>", "", text)), name
