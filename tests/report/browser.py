# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real browser without a window and without a network, spoken to through a pipe by Chromium's DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
import typing as t
from contextlib import contextmanager

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = "chromium"
_SECONDS = 60.0
_END = b"\0"
# Nothing but files is reached: every other name leads nowhere, and every address to a proxy that is not there.
_OFFLINE = ("--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9", "--disable-background-networking")


def why_unavailable() -> str:
    """Return why there is no browser, or nothing if there is one."""
    return "" if shutil.which(PROGRAM) else f"{PROGRAM} is not installed, so no page was looked at in a browser"


class Browser:
    """One tab of a running Chromium."""

    def __init__(self, to: int, answers: int) -> None:
        self._to = to
        self._answers = answers
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, t.Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime", "Accessibility"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: object) -> dict[str, t.Any]:
        """Call *method* of the protocol and return what it answers."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + _END)
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return t.cast("dict[str, t.Any]", answer["result"])
            self.events.append(answer)

    def _next(self) -> dict[str, t.Any]:
        end = time.monotonic() + _SECONDS
        while _END not in self._rest:
            ready, _w, _x = select.select([self._answers], [], [], max(0.0, end - time.monotonic()))
            piece = os.read(self._answers, 1 << 20) if ready else b""
            assert piece, "The browser has said nothing for too long, or has ended."
            self._rest += piece
        first, self._rest = self._rest.split(_END, 1)
        return t.cast("dict[str, t.Any]", json.loads(first))

    def open(self, page: Path, width: int, *, scheme: str = "light", medium: str = "") -> None:
        """Open *page* from disk in a window of *width* pixels, and wait until it is there."""
        self.events.clear()
        is_mobile = width < 500
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=is_mobile)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", media=medium, features=features)
        self.ask("Page.navigate", url=page.as_uri())
        end = time.monotonic() + _SECONDS
        while self.value("document.readyState") != "complete" or self.value("location.href") != page.as_uri():
            assert time.monotonic() < end
            time.sleep(0.02)

    def value(self, expression: str) -> t.Any:  # noqa: ANN401 - whatever JavaScript gives
        """Return what *expression* is on the page; the browser itself asks, so no policy of the page forbids it."""
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def requested(self) -> list[str]:
        """Return the addresses that were asked for since the page was opened, the page itself among them."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """Return what the browser has to say of the page."""
        told = [event["params"]["entry"]["text"] for event in self.events if event.get("method") == "Log.entryAdded"]
        return told + [
            str(event["params"]) for event in self.events if event.get("method") == "Runtime.exceptionThrown"
        ]

    def names_of(self, role: str) -> list[str]:
        """Return the names by which what has that *role* is read out."""
        nodes = self.ask("Accessibility.getFullAXTree")["nodes"]
        return [
            str(node.get("name", {}).get("value", ""))
            for node in nodes
            if node.get("role", {}).get("value") == role and not node.get("ignored")
        ]

    def picture(self, file: Path) -> None:
        """Take a picture of the whole page."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 6000), "scale": 1}
        taken = self.ask("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(taken["data"]))


@contextmanager
def browsing(home: Path) -> Iterator[Browser]:
    """Start Chromium, which keeps what it has to keep below *home*."""
    read_by_it, to = os.pipe()
    answers, written_by_it = os.pipe()
    command = [
        *(PROGRAM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
        *("--disable-component-update", "--disable-sync", f"--user-data-dir={home}", "--remote-debugging-pipe"),
        *_OFFLINE,
    ]
    # The protocol wants these two numbers for its pipes.
    shell = f'exec "$@" 3<&{read_by_it} 4>&{written_by_it}'
    with home.joinpath("browser.log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command],
            env={"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"},
            pass_fds=(read_by_it, written_by_it),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    os.close(read_by_it)
    os.close(written_by_it)
    try:
        yield Browser(to, answers)
    finally:
        os.close(to)  # which ends it
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(answers)
