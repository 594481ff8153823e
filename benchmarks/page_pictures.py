"""Photograph the page and its queue: docs/page.png and docs/queue.png.

python -m benchmarks.page_pictures --out docs    (needs gradio, playwright and a Chromium)
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from playwright.sync_api import Page, sync_playwright

from maskvfi.tools.demo import render_clip

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1280, 900  # px, the browser's window


def main(out: Annotated[Path, typer.Option(help="Folder for page.png and queue.png.")]) -> None:
    """Drop two clips on the page in a browser, and photograph the preview of the first and the queue of both."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit("a Chromium is needed: " + ", ".join(BROWSERS))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "maskvfi.cli", "ui", "--port", str(port)]
    with (
        tempfile.TemporaryDirectory() as name,
        sync_playwright() as started,
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server,
    ):
        assert server.stderr is not None
        try:
            address = f"http://127.0.0.1:{port}/"
            assert address.rstrip("/") in server.stderr.readline()
            shown = started.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
            page = shown.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.set_default_timeout(120_000)
            page.goto(address)
            _photograph(page, Path(name), out)
            shown.close()
        finally:
            server.terminate()


def _photograph(page: Page, folder: Path, out: Path) -> None:
    clips = [folder / "demo clip.mp4", folder / "short.mp4"]
    for clip, frames in zip(clips, (80, 20), strict=True):
        render_clip(clip, frames=frames)
    page.locator("#video input[type=file]").set_input_files(clips)
    page.locator("#overlay img").wait_for()
    page.locator("#run:enabled").wait_for()
    page.screenshot(path=out / "page.png", full_page=True)
    page.locator("#run").click()
    page.locator("#jobs img").first.wait_for()
    page.screenshot(path=out / "queue.png")


if __name__ == "__main__":
    typer.run(main)
