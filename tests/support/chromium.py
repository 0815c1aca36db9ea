"""A real Chromium, headless, in a network namespace, driven by the DevTools protocol over a pipe.

No port, no driver, no dependency: --remote-debugging-pipe reads JSON ended by NUL on descriptor 3
and writes it on 4 (content/browser/devtools/devtools_pipe_handler.cc). The browser ends when the
pipe does.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # as root it has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
_READ, _WRITE = 3, 4
_ANSWER_S: Final = 30.0
DESKTOP: Final = (1440, 900)
PHONE: Final = (360, 740)

Json = dict[str, Any]


class BrowserError(AssertionError):
    """The browser did not do what it was told, or the page failed in it."""


class Browser:
    """One browser process in the network namespace of a process."""

    def __init__(self, namespace_pid: int, scratch: Path) -> None:
        """Start it; `scratch` takes its profile and what it says on standard error."""
        outgoing, incoming = os.pipe(), os.pipe()
        theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (outgoing[0], incoming[1])]
        os.close(outgoing[0])
        os.close(incoming[1])

        def place() -> None:
            os.dup2(theirs[0], _READ)
            os.dup2(theirs[1], _WRITE)

        with (scratch / "chromium.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("nsenter", "-t", str(namespace_pid), "-n", "--"),
                    *("chromium", *_FLAGS, f"--user-data-dir={scratch / 'profile'}"),
                ],
                preexec_fn=place,  # noqa: PLW1509  nothing but dup2(2)
                pass_fds=(_READ, _WRITE),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "HOME": str(scratch), "XDG_CACHE_HOME": str(scratch)},
                start_new_session=True,
            )
        for fd in theirs:
            os.close(fd)
        self._out, self._in = outgoing[1], incoming[0]
        self._received = bytearray()
        self._number = 0
        self._pages: dict[str, Page] = {}

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Json:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message: Json = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + _ANSWER_S
        while True:
            answer = self._next(end, method)
            if answer.get("id") != self._number:
                continue
            if "error" in answer:
                raise BrowserError(f"{method}: {answer['error']}")
            result: Json = answer["result"]
            return result

    def _next(self, end: float, waits_for: str) -> Json:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            data = os.read(self._in, 1 << 16) if ready else b""
            if not data:
                raise BrowserError(f"no answer to {waits_for}; status {self._process.poll()}")
            self._received += data
        text, _, rest = self._received.partition(b"\0")
        self._received = bytearray(rest)
        message: Json = json.loads(text)
        page = self._pages.get(message.get("sessionId", ""))
        if page is not None and "method" in message:
            page.hear(message["method"], message["params"])
        return message

    def page(self) -> Page:
        """Open an empty page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        page = Page(self, attached["sessionId"])
        self._pages[attached["sessionId"]] = page
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        return page

    def close(self) -> None:
        """End it and everything it started."""
        os.close(self._out)
        os.close(self._in)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=10)


class Page:
    """One page; what its console says is kept."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.errors: list[str] = []
        """What the console calls an error or a warning; exceptions; refused by the CSP."""

    def call(self, method: str, **parameters: Any) -> Json:
        """Call a method of the protocol on this page."""
        return self._browser.call(method, self._session, **parameters)

    def hear(self, method: str, given: Mapping[str, Any]) -> None:
        """Keep what went wrong in the page."""
        if method == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            thrown = details.get("exception", {}).get("description", details["text"])
            self.errors.append(f"exception: {thrown}")
        elif method == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning"):
            self.errors.append(f"console: {given['args']}")
        elif method == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
            entry = given["entry"]
            self.errors.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")

    def show_as(self, size: tuple[int, int], scheme: str = "light") -> None:
        """Be a screen of this size in CSS pixels, below 600 a phone's, in this colour scheme."""
        width, height = size
        is_phone = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if is_phone else 1,
            mobile=is_phone,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def go(self, url: str) -> None:
        """Load a page anew, from nothing kept, until its load event."""
        self.call("Network.clearBrowserCache")
        answer = self.call("Page.navigate", url=url)
        if answer.get("errorText"):
            raise BrowserError(f"{url}: {answer['errorText']}")
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression; a promise is waited for."""
        done = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in done:
            raise BrowserError(f"{script}: {done['exceptionDetails']}")
        return done["result"].get("value")

    def wait(self, condition: str, *, deadline_s: float = 20, what: str = "") -> None:
        """Wait until an expression is true in the page."""
        end = time.monotonic() + deadline_s
        while not self.evaluate(f"Boolean({condition})"):
            if time.monotonic() > end:
                text = self.evaluate("document.body.innerText.slice(0, 2000)")
                raise BrowserError(
                    f"not within {deadline_s} s: {what or condition}; console: {self.errors};"
                    f" the page:\n{text}"
                )
            time.sleep(0.02)

    def type(self, text: str) -> None:
        """Type into what has the focus, key by key."""
        for letter in text:
            for kind in ("keyDown", "keyUp"):
                more = {"text": letter} if kind == "keyDown" else {}
                self.call("Input.dispatchKeyEvent", type=kind, key=letter, **more)

    def press(self, key: str, code: int) -> None:
        """Press a key that is no letter, by its name and its Windows key code."""
        text = {"text": "\r"} if key == "Enter" else {}
        self.call(
            "Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def close(self) -> None:
        """Close it, so that it asks nobody any more."""
        self.call("Page.close")

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write what is seen as PNG, the whole page or the screen."""
        clip: Json = {}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"clip": {**size, "scale": 1}, "captureBeyondViewport": True}
        shot = self.call("Page.captureScreenshot", format="png", **clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def browser(namespace_pid: int) -> Iterator[Browser]:
    """Run a browser with a profile of its own for the length of a block."""
    with tempfile.TemporaryDirectory(
        prefix="podroute-chromium-", ignore_cleanup_errors=True
    ) as name:
        made = Browser(namespace_pid, Path(name))
        try:
            yield made
        finally:
            made.close()
