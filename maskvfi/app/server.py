"""A server for the page. It uses one temporary folder, and sends no request to other machines."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from maskvfi.app.guard import Guard
from maskvfi.errors import OptionError, reason
from maskvfi.extras import install_command

LARGEST = 4 << 30  # bytes that an uploaded video may have


def serve(host: str, port: int, ready: Callable[[str], object]) -> None:
    """Serve the page until the process is interrupted or terminated.

    Uploads, results and painted masks are in a temporary folder that is deleted at the end.

    Args:
        host: The address to listen at.
        port: The port.
        ready: Called with the address of the page when it can be opened.

    Raises:
        OptionError: gradio is not installed, or the page cannot listen there: the port is taken, for example.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _check_address(host.strip("[]"), port)
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"  # as an address of IPv6 is written in a URL
    with tempfile.TemporaryDirectory(prefix="maskvfi-ui-", ignore_cleanup_errors=True) as folder:
        os.environ |= {
            "GRADIO_TEMP_DIR": folder,
            "GRADIO_ANALYTICS_ENABLED": "False",
            "GRADIO_RUN_HISTORY": "False",  # it can be kept on the Hugging Face Hub
        }  # gradio reads them when it is imported
        try:
            import gradio
        except ModuleNotFoundError:
            raise OptionError(f"the page needs gradio: {install_command('ui')}") from None
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
                app_kwargs={"middleware": [Middleware(Guard, host=host)]},
            )
            ready(address)
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
        finally:
            page.close(verbose=False)
            close()


def _check_address(host: str, port: int) -> None:
    """Raise OptionError if nothing can listen there; gradio's own words would name options of gradio."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
    except OSError as error:
        raise OptionError(f"the page cannot listen at {host}, port {port} ({reason(error)})") from error
