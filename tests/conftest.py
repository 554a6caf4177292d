"""What all tests share: one thread each (xdist runs several processes on few cores), and no windows."""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.pop("COURSE_PROFILE", None)  # a reader's own setting must not change what is tested

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

# loaded machines miss per-example deadlines; CI draws the same examples every time
settings.register_profile("course", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("course"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "course")


@pytest.fixture(autouse=True)
def _close_figures():
    """Figures of one test do not stay open into the next."""
    yield
    import sys

    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
