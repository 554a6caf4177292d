"""Executed notebooks become the committed ones, without what a machine leaves in them."""

import base64
import copy
import io

import nbformat
import numpy as np
import pytest
from PIL import Image

from lib.course import notebook as notebooks
from lib.course import paths, publish, structure
from lib.course.notebook import NotebookError


def stream(text, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


def png(pixels):
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG", compress_level=0)
    return base64.b64encode(encoded.getvalue()).decode()


@pytest.fixture
def pair(lesson_folder):
    """(executed copy, committed notebook): the committed one has no outputs yet; the copy has what papermill adds."""
    target = lesson_folder / "42_template.ipynb"
    executed, committed = notebooks.read(target), notebooks.read(target)
    injected = nbformat.v4.new_code_cell(
        "# Parameters\nseed = 0", metadata={"tags": ["injected-parameters"]}, execution_count=2
    )
    executed.cells.insert(2, injected)
    for number, cell in enumerate(notebooks.code_cells(executed), 1):
        cell.execution_count = number
        cell.metadata["papermill"] = {"duration": 1.0}
        cell.metadata["execution"] = {"iopub.execute_input": "2026"}
    executed.metadata["papermill"] = {"duration": 3}
    for cell in committed.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return executed, committed


def test_merge_makes_a_good_notebook(pair, lesson_folder):
    executed, committed = pair
    merged = publish.merge(executed, committed)
    target = lesson_folder / "42_template.ipynb"
    stored = target.read_bytes()
    notebooks.write(merged, target)
    assert structure.problems(target, "42_template") == []
    assert target.read_bytes() == stored  # the template was published in just this way


def test_changed_code_is_refused(pair):
    executed, committed = pair
    committed.cells[-6].source += "  "
    committed.cells[1].source += "\n"
    with pytest.raises(NotebookError, match="has changed since it was run"):
        publish.merge(executed, committed)


def test_changed_text_is_taken_from_the_committed_one(pair):
    executed, committed = pair
    committed.cells[0].source = committed.cells[0].source.replace("a straight line", "a straight line. Better words")
    assert "Better words" in publish.merge(executed, committed).cells[0].source


def test_the_answer_is_written_into_the_title(pair):
    """The one line of text that is not the committed one's: it is what was measured."""
    executed, committed = pair
    said = committed.cells[0].source
    (old,) = [line for line in said.splitlines() if line.startswith(structure.IN_TITLE)]
    for before in (said.replace(old, f"{structure.IN_TITLE}It was another."), said.replace(f"\n\n{old}", "")):
        assert before != said
        committed.cells[0].source = before
        assert publish.merge(executed, committed).cells[0].source == said


def test_of_a_pictures_metadata_its_text_is_kept():
    about = {"image/png": {"alt": "a line", "width": 300}, "text/plain": {}}
    picture = nbformat.v4.new_output("display_data", {"text/plain": "Figure"}, metadata=about)
    (cleaned,) = publish.clean_outputs([picture])
    assert cleaned.metadata == {"image/png": {"alt": "a line"}}


def test_outputs_are_cleaned():
    widget = nbformat.v4.new_output(
        "display_data", {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "bar"}
    )
    cleaned = publish.clean_outputs(
        [
            stream("epoch 1\n"),
            stream("  0%|          | 0/10 [00:00<?, ?it/s]\r100%|##########| 10/10", "stderr"),
            stream("10\r20\r30\n\x1b[31mred\x1b[0m\n"),
            stream(f"saved {paths.ROOT}/figures/a.png\n"),
            widget,
            nbformat.v4.new_output("display_data", {"text/html": "", "text/plain": ""}),  # an emptied line of progress
        ]
    )
    assert [(output.name, output.text) for output in cleaned if output.name == "stdout"] == [
        ("stdout", "epoch 1\n"),
        ("stdout", "30\nred\nsaved figures/a.png\n"),
    ] or [output.text for output in cleaned] == ["epoch 1\n30\nred\nsaved figures/a.png\n"]
    assert not any("|" in output.get("text", "") for output in cleaned)
    assert all(output.output_type == "stream" for output in cleaned)


def test_warnings_are_kept_so_that_they_are_seen():
    assert publish.clean_outputs([stream("UserWarning: x\n", "stderr")])[0].text == "UserWarning: x\n"


def test_pictures_are_packed_without_loss():
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, 32:] = (200, 10, 10, 0)
    pixels[..., 3] = 255
    packed = publish.pack_png(png(pixels))
    assert len(packed) < len(png(pixels))
    assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(packed))).convert("RGBA")) == pixels).all()
    transparent = pixels.copy()
    transparent[0, 0, 3] = 7
    again = Image.open(io.BytesIO(base64.b64decode(publish.pack_png(png(transparent)))))
    assert (np.asarray(again) == transparent).all()


def test_a_chart_is_stored_in_fewer_colours_where_nobody_sees_it():
    """A page of lines and text; a picture of a smooth surface keeps its own colours."""
    from lib.plots import style

    fig, ax = style.chart(1, 3, size=(12, 6))
    for k, one in enumerate(ax):
        for j in range(6):
            one.plot([0, 1, 2], [j, j + k, 2 * j], label=f"row {j} of {k}")
        one.legend(title="many words to be read here")
    chart = fig.palette_png(dpi=110)
    assert len(chart) > publish.CHART
    packed = base64.b64decode(publish.pack_png(base64.b64encode(chart).decode()))
    before, after = (np.asarray(Image.open(io.BytesIO(some)).convert("RGB"), float) for some in (chart, packed))
    assert len(packed) < 0.9 * len(chart) and 0 < np.abs(before - after).mean() <= publish.UNSEEN
    across = np.linspace(0, 255, 400)
    surface = np.stack(
        [np.tile(across, (300, 1)), np.tile(across[:300, None], (1, 400)), np.full((300, 400), 60.0)], -1
    )
    surface += np.random.default_rng(0).normal(0, 4, surface.shape)
    smooth = Image.fromarray(surface.clip(0, 255).astype(np.uint8)).quantize(256)
    target = io.BytesIO()
    smooth.save(target, "PNG")
    kept = Image.open(io.BytesIO(base64.b64decode(publish.pack_png(base64.b64encode(target.getvalue()).decode()))))
    assert (np.asarray(kept.convert("RGB")) == np.asarray(smooth.convert("RGB"))).all()


@pytest.mark.parametrize("unseen, colours", [(2.0, 32), (0.3, 64), (0.0, 256)])
def test_a_chart_that_is_packed_keeps_its_swatches(unseen, colours, monkeypatch):
    from matplotlib.lines import Line2D

    from lib.plots import style

    monkeypatch.setattr(publish, "UNSEEN", unseen)
    fig, ax = style.chart(size=(10, 7))
    for k in range(30):
        ax.text(0, k / 30, f"{k} words in small letters, " * 4, color=str(k / 60))
    handle = Line2D([], [], linestyle="", marker="s", markersize=13, color=style.GREEN, label="reproduced")
    style.legend_below(fig, ax, handles=[handle])
    style.plt.close(fig)
    chart = fig.palette_png()
    packed = base64.b64decode(publish.pack_png(base64.b64encode(chart).decode()))
    used = len(Image.open(io.BytesIO(packed)).getcolors())
    assert len(chart) > publish.CHART and colours / 2 < used <= colours
    before, after = (np.asarray(Image.open(io.BytesIO(some)).convert("RGB")) for some in (chart, packed))
    green = (before == [0x00, 0x9E, 0x73]).all(-1)
    assert green.sum() > 50 and (after[green] == [0x00, 0x9E, 0x73]).all()


def test_store_refuses_and_leaves_the_target(lesson_folder, tmp_path, capsys):
    target = lesson_folder / "42_template.ipynb"
    stored = target.read_bytes()
    executed = notebooks.read(target)
    notebooks.code_cells(executed)[3].outputs = [stream("UserWarning: x\n", "stderr")]
    notebooks.write(executed, tmp_path / "out.ipynb")
    assert publish.main(["--store", str(tmp_path / "out.ipynb"), str(target)]) == 1
    assert "stores stderr" in capsys.readouterr().out
    assert target.read_bytes() == stored
    assert publish.main(["--store", str(tmp_path / "none.ipynb"), str(target)]) == 1
    assert "no such notebook" in capsys.readouterr().out


def test_a_notebook_that_stopped_half_way_is_refused(pair):
    executed, committed = pair
    notebooks.code_cells(executed)[-1].execution_count = None
    with pytest.raises(NotebookError, match="code cell 7 was not run"):
        publish.merge(executed, committed)


def test_what_is_folded_stays_folded(pair):
    executed, committed = pair
    committed.cells[3].metadata.update({structure.COLLAPSED: True, "editable": True})
    assert publish.merge(executed, committed).cells[3].metadata == {structure.COLLAPSED: True}


def test_a_table_stands_once_unless_it_is_compared(pair):
    executed, committed = pair
    data = {"text/html": "<table></table>", "text/plain": "a table"}
    table = nbformat.v4.new_output("execute_result", data, execution_count=1)
    kept = {}
    for checked in (False, True):
        ran = copy.deepcopy(executed)
        cells = [cell for cell in notebooks.code_cells(ran) if "injected-parameters" not in notebooks.tags(cell)]
        (place, cell) = next((k, c) for k, c in enumerate(cells) if c.source.startswith(structure.CHECK) == checked)
        cell.outputs = [table]
        kept[checked] = set(notebooks.code_cells(publish.merge(ran, committed))[place].outputs[0].data)
    assert kept == {False: {"text/html"}, True: {"text/html", "text/plain"}}
