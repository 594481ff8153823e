"""A real `maskvfi ui`, for the tests of the page and of what its server refuses."""

import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """The address of a proxy that stands for all other machines, and what was asked of it."""
    asked: list[str] = []

    class Proxy(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().decode())
            self.wfile.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


@pytest.fixture(scope="module")
def served(tmp_path_factory, elsewhere) -> Iterator[tuple[str, Path]]:
    """The address of a page, and the folder it may write in, which is empty again in the end.

    In the end it has asked nothing of any other machine.
    """
    folder = tmp_path_factory.mktemp("served")
    proxy, asked = elsewhere
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "maskvfi.cli", "ui", "--port", str(port)]
    places = {"TMPDIR": str(folder), "MASKVFI_HOME": str(tmp_path_factory.mktemp("home"))}
    proxies = {"http_proxy": proxy, "https_proxy": proxy, "no_proxy": "127.0.0.1"}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | places | proxies
    ) as server:
        try:
            assert f"http://127.0.0.1:{port}" in server.stderr.readline()
            yield f"http://127.0.0.1:{port}/", folder
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                assert server.wait(120) == 0
            finally:
                server.kill()
    assert [path.name for path in folder.iterdir() if not path.name.startswith("torchinductor")] == []
    assert asked == []
