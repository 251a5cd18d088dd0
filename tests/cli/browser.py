"""Headless Chromium, driven over its DevTools protocol: keys are pressed as a person presses them."""

import asyncio
import json
import shutil
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
# Nothing but the page under test is asked for anything.
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--disable-extensions", "--disable-default-apps",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-port=0",
]  # fmt: skip
_CODES = {"Enter": 13, "Escape": 27, "Backspace": 8, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Browser:
    """One page. `with Browser(folder) as page: page.open(address); page.press("1")`."""

    def __init__(self, profile: Path) -> None:
        self.profile = profile
        self.loop = asyncio.new_event_loop()
        self.number = 0

    def __enter__(self) -> "Browser":
        import aiohttp

        self.process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        port_file = self.profile / "DevToolsActivePort"
        port = wait(lambda: port_file.is_file() and port_file.read_text().split("\n")[0], 60)
        pages = wait(
            lambda: [each for each in json.load(urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10)) if each["type"] == "page"], 30
        )

        async def connect():
            self.client = aiohttp.ClientSession()
            self.socket = await self.client.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)

        self.loop.run_until_complete(connect())
        self.errors = []
        self.call("Runtime.enable")
        self.call("Log.enable")
        return self

    def __exit__(self, *error: object) -> None:
        self.loop.run_until_complete(self.socket.close())
        self.loop.run_until_complete(self.client.close())
        self.process.terminate()
        self.process.wait(60)
        self.loop.close()

    def call(self, method, **parameters):
        """One command of the protocol and its result; what the page logs as wrong is kept in `errors`."""
        self.number += 1

        async def exchange():
            await self.socket.send_json({"id": self.number, "method": method, "params": parameters})
            while True:
                message = json.loads((await self.socket.receive(timeout=60)).data)
                if message.get("method") == "Runtime.exceptionThrown":
                    self.errors.append(message["params"]["exceptionDetails"])
                if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                    self.errors.append(message["params"]["entry"])
                if message.get("id") == self.number:
                    return message

        message = self.loop.run_until_complete(exchange())
        assert "error" not in message, message
        return message["result"]

    def open(self, address):
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def evaluate(self, code):
        found = self.call("Runtime.evaluate", expression=code, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def text(self, id):
        return self.evaluate(f"document.getElementById({id!r}).textContent")

    def until(self, code, seconds=60):
        wait(lambda: self.evaluate(code), seconds)

    def press(self, key, *, shift=False):
        code = _CODES.get(key, ord(key.upper()) if len(key) == 1 else 0)
        typed = {"text": key} if len(key) == 1 else {}
        about = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def size(self, width, height, *, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def picture(self) -> str:
        """The page as PNG, in base64."""
        return self.call("Page.captureScreenshot")["data"]


def wait(ready, seconds):
    """What `ready` returns once it is true; an AssertionError after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        try:
            if found := ready():
                return found
        except OSError:
            pass
        assert time.monotonic() < end, "the browser did not get there in time"
        time.sleep(0.02)
