"""A server for the page. It uses one temporary folder, and sends no request to other machines."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

LARGEST = 4 << 30  # bytes that an uploaded video may have
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"  # the browser enforces it


def serve(host: str, port: int, ready: Callable[[str], object]) -> None:
    """Serve the page until the process is interrupted or terminated.

    Uploads, results and painted masks are in a temporary folder that is deleted at the end.

    Args:
        host: The address to listen at.
        port: The port.
        ready: Called with the address of the page when it can be opened.

    Raises:
        ValueError: gradio is not installed.
        OSError: The port is taken.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="maskvfi-ui-", ignore_cleanup_errors=True) as folder:
        os.environ |= {
            "GRADIO_TEMP_DIR": folder,
            "GRADIO_ANALYTICS_ENABLED": "False",
        }  # gradio reads them when it is imported
        try:
            import gradio
        except ModuleNotFoundError:
            raise ValueError("the page needs gradio: pip install 'maskvfi[ui]'") from None
        from starlette.middleware import Middleware

        from maskvfi.app.page import SCRIPT, STYLE, build_page

        page, close = build_page(Path(folder))
        try:
            _, address, _ = page.launch(
                server_name=host,
                server_port=port,
                share=False,
                quiet=True,
                ssr_mode=False,
                enable_monitoring=False,
                prevent_thread_lock=True,
                max_file_size=LARGEST,
                footer_links=[],
                theme=gradio.themes.Soft(
                    primary_hue="emerald",
                    font=["system-ui", "sans-serif"],
                    font_mono=["ui-monospace", "monospace"],
                ),
                css=STYLE,
                js=SCRIPT,
                app_kwargs={"middleware": [Middleware(Confined)]},
            )
            ready(address)
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
        finally:
            page.close(verbose=False)
            close()


class Confined:
    """ASGI middleware. It adds `POLICY` to every response, and refuses to fetch files from other machines."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_confined(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        wanted = scope.get("path", "").partition("=")[2]
        if scope["type"] == "http" and wanted.startswith(("http:", "https:")):
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body"})
        else:
            await self.app(scope, receive, send_confined)
