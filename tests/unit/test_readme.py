"""What README promises: its ten lines of Python run as they stand."""

from __future__ import annotations

import re

from lib.paths import ROOT


def test_the_ten_lines_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REID_RUNS", str(tmp_path))
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S)
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 11 and "pedestrians" in code
    exec(compile(code, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert "rank-1" in said and "mINP" in said and float(said.splitlines()[-1]) > 0
    assert float(re.search(r"rank-1 +([\d.]+) %", said)[1]) > 30  # the first weights: from nothing it was 3 %
    assert len(list(tmp_path.glob("baseline-pedestrians-mlr-*/run.json"))) == 1
