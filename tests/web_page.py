"""The web folder in a browser: a static host for it, and what a person does on its page."""

import functools
import http.server
import threading
import time
from pathlib import Path
from typing import Any

from browser import Page


class Server:
    """A static host on the loopback device; `missing` are files that it does not find.

    The browser may keep nothing: it takes a file that is some minutes old as fresh for some seconds, without asking.
    """

    def __init__(self, folder: Path) -> None:
        missing = self.missing = set[str]()

        class Handler(http.server.SimpleHTTPRequestHandler):
            def send_head(self) -> Any:
                if self.path.strip("/") in missing:
                    return self.send_error(404)
                return super().send_head()

            def end_headers(self) -> None:
                self.send_header("Cache-Control", "no-store")
                super().end_headers()

            def log_message(self, *words: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def wait(tab: Page, expression: str, seconds: float = 60.0) -> None:
    """Wait until a JavaScript expression is true."""
    end = time.monotonic() + seconds
    while not tab.evaluate(expression):
        assert time.monotonic() < end, f"{expression}: {tab.evaluate('document.body.innerText')}"
        time.sleep(0.05)


def ready(tab: Page, server: Server, width: int = 1440, scheme: str = "light") -> None:
    tab.open(server.url, width, scheme)
    wait(tab, "!document.getElementById('file').disabled")


def give(tab: Page, path: Path) -> None:
    """Choose a file, as its dialogue does."""
    root = tab.call("DOM.getDocument")["root"]["nodeId"]
    node = tab.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    tab.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)
