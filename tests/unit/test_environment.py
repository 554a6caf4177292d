"""The three descriptions of the environment agree: pyproject.toml, environment.yml, the dated lock file."""

import json
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from lib.course import environment, paths
from lib.course.lock import requirement_name

PROJECT = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
WANTED = PROJECT["dependencies"] + EXTRAS["test"] + EXTRAS["site"]  # what is tested, and what makes the pages
LOCKS = sorted(paths.ROOT.glob("requirements-*.lock"))


def locked():
    lines = [line for line in LOCKS[0].read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def test_environment_yml_is_pyproject():
    """conda users get Python and pip from conda-forge, and the rest exactly as pip users do."""
    conda = yaml.safe_load((paths.ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert conda["channels"][0] == "conda-forge"
    plain = [item for item in conda["dependencies"] if isinstance(item, str)]
    assert plain == [f"python{PROJECT['requires-python']}", "pip"]
    pip = next(item["pip"] for item in conda["dependencies"] if isinstance(item, dict))
    assert pip[-1] == "--editable ."
    assert pip[:-1] == WANTED


def test_versions_are_ranges():
    """Exact pins belong into the lock file; only a peer that is measured against is pinned."""
    assert all(Requirement(text).specifier and "==" not in text for text in WANTED)
    assert "torchreid==0.2.5" in PROJECT["optional-dependencies"]["bench"]


def test_one_dated_lock_with_versions_only():
    assert len(LOCKS) == 1
    assert re.fullmatch(r"requirements-\d{4}-\d{2}-\d{2}\.lock", LOCKS[0].name)
    text = LOCKS[0].read_text(encoding="utf-8")
    assert not re.search(r"://|file:|@|--|/(work|home|root|tmp|opt)/", re.sub(r"(?m)^#.*$", "", text))
    assert all(re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.!+]+", f"{name}=={version}") for name, version in locked().items())
    assert all("+" not in version for version in locked().values())  # a build of some other place


def test_lock_satisfies_pyproject():
    versions = locked()
    for text in WANTED:
        requirement = Requirement(text)
        name = requirement_name(requirement.name)
        assert name in versions, f"{name} is missing: run `make lock`"
        assert requirement.specifier.contains(Version(versions[name])), f"{name} {versions[name]} does not fit {text}"


def test_torch_and_torchvision_fit_together():
    """A CPU-only torch beside PyPI's torchvision does not import; plain ones do."""
    done = subprocess.run(
        [sys.executable, "-c", "import torch, torchvision; torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), .5)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_gitignore_does_not_hide_the_package():
    """The stock Python .gitignore hides `lib/`."""
    lines = (paths.ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert not {"lib", "lib/", "/lib", "/lib/", "data/", "/data/", "figures/", "notebooks/"} & set(lines)
    assert {"/data/raw/", "/data/cache/", "/data/runs/", "/.venv/", "/build/"} <= set(lines)


@pytest.mark.parametrize("extras", [[], ["test"], ["bench", "test"]])
def test_stamp(tmp_path, extras):
    stamp = tmp_path / "installed.json"
    root = tmp_path
    (root / "pyproject.toml").write_text("a")
    wanted = environment.wanted_stamp("python", extras, None, root)
    assert not environment.up_to_date(stamp, wanted)
    stamp.write_text("{half")
    assert not environment.up_to_date(stamp, wanted)
    stamp.write_text(json.dumps(wanted))
    assert environment.up_to_date(stamp, wanted)
    assert environment.up_to_date(
        stamp, environment.wanted_stamp("python", [], None, root)
    )  # fewer extras are there too
    assert environment.up_to_date(stamp, environment.wanted_stamp("python", ["bench"], None, root)) == (
        "bench" in extras
    )
    (root / "pyproject.toml").write_text("b")
    assert not environment.up_to_date(stamp, environment.wanted_stamp("python", extras, None, root))
    (root / "pyproject.toml").write_text("a")
    lock = tmp_path / "x.lock"
    lock.write_text("torch==2.11")
    assert not environment.up_to_date(stamp, environment.wanted_stamp("python", extras, lock, root))


def test_the_set_up_runs_on_the_standard_library():
    """`python3 lib/course/environment.py` is started by a Python that has nothing installed."""
    done = subprocess.run(
        [sys.executable, "-S", "-I", str(paths.ROOT / "lib" / "course" / "environment.py"), "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_python_that_is_too_old_is_named(capsys, monkeypatch):
    monkeypatch.setattr(environment, "MINIMUM", (99, 0))
    assert environment.main([]) == 1
    assert "Python 99.0 or newer is needed" in capsys.readouterr().out


def test_make_names_a_missing_python(tmp_path):
    """Without a usable Python `make` says so; the tools it needs to say it are there."""
    for tool in ("sh", "uname"):
        (tmp_path / tool).symlink_to(f"/bin/{tool}")
    done = subprocess.run(
        ["/usr/bin/make", "-C", str(paths.ROOT), "setup", f"PATH={tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(tmp_path)},
    )
    assert done.returncode != 0
    assert "Python 3.11 or newer was not found" in done.stderr
