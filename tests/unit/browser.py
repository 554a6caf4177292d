"""A real browser for tests, driven by the WebDriver protocol itself (JSON over HTTP): no package needed."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic", "--disable-sync",
    "--disable-background-networking", "--hide-scrollbars",
)  # fmt: skip


def found() -> tuple[str, str] | None:
    """The paths of a Chromium and its driver; None where one is missing."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser:
    """One window."""

    def __init__(self, address: str, session: str):
        self.base = f"{address}/session/{session}"

    def call(self, what: str, **told: Any) -> Any:
        return _call(f"{self.base}/{what}", told)

    def open(self, address: str) -> None:
        self.call("url", url=address)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function's body of JavaScript returns."""
        return self.call("execute/sync", script=script, args=list(arguments))

    def until(self, script: str, *arguments: Any, seconds: float = 20, seen: str = "") -> Any:
        """Ask again until the answer is true; AssertionError after so many seconds, with the last answer and what the
        script ``seen`` returns then.
        """
        end = time.monotonic() + seconds
        while not (answer := self.run(script, *arguments)):
            assert time.monotonic() < end, f"{script!r} still says {answer!r} {seen and self.run(seen)}"
            time.sleep(0.05)
        return answer

    def press(self, key: str) -> None:
        """One key (WebDriver's own letters: "\ue014" is the right arrow), down and up, on what has the focus."""
        actions = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self.call("actions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def resize(self, width: int, height: int) -> None:
        self.call("window/rect", width=width, height=height)

    def phone(self, width: int = 390, height: int = 800) -> None:
        """The page as on a phone of this width: no real window is as narrow."""
        told = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
        self.call("goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride", params=told)

    def desk(self) -> None:
        """The window's own width again."""
        self.call("goog/cdp/execute", cmd="Emulation.clearDeviceMetricsOverride", params={})

    def log(self) -> list[str]:
        """Errors that the page wrote to the console."""
        return [entry["message"] for entry in self.call("se/log", type="browser") if entry["level"] == "SEVERE"]


@contextlib.contextmanager
def opened(folder: Path, width: int = 1200, height: int = 900) -> Iterator[Browser]:
    """A browser with a profile of its own in ``folder``."""
    chromium, driver = found()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait(lambda: answers(f"{address}/status"), "the driver")
        flags = [*FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}"]
        wanted = {
            "browserName": "chrome", "goog:chromeOptions": {"binary": chromium, "args": flags},
            "goog:loggingPrefs": {"browser": "ALL"},
        }  # fmt: skip
        session = _call(f"{address}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        browser = Browser(address, session)
        # a window without a screen has no focus in newer versions, and JupyterLab takes no notebook for the current one
        browser.call("goog/cdp/execute", cmd="Emulation.setFocusEmulationEnabled", params={"enabled": True})
        try:
            yield browser
        finally:
            _call(browser.base, method="DELETE")
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait(ready: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Ask until it is ready; AssertionError after so many seconds."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what} did not start within {seconds} s"
        time.sleep(0.1)


def answers(address: str) -> bool:
    """Whether something answers there."""
    with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(address, timeout=5) as got:
        return got.status == 200
    return False


def _call(address: str, told: dict | None = None, method: str | None = None) -> Any:
    data = None if told is None else json.dumps(told).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"the browser refuses {address}: {error.read().decode()[:500]}") from error
