"""The web page as a person uses it: a real `maskvfi ui`, a real browser."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from clips import make_clip

from maskvfi.tools.demo import render_clip

pytest.importorskip("gradio", reason="the page needs gradio: pip install 'maskvfi[ui]'")
playwright = pytest.importorskip("playwright.sync_api", reason="driving a browser needs playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("no chromium, chromium-browser or google-chrome is installed", allow_module_level=True)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT = 120_000  # ms


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """The address of a page, and the folder it may write in, which is empty again in the end."""
    folder = tmp_path_factory.mktemp("served")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "maskvfi.cli", "ui", "--port", str(port)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(folder)}
    ) as server:
        try:
            assert f"http://127.0.0.1:{port}" in server.stderr.readline()
            yield f"http://127.0.0.1:{port}/", folder
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0
    assert [path.name for path in folder.iterdir() if not path.name.startswith("torchinductor")] == []


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, served) -> Iterator["playwright.Page"]:
    """A fresh page that has asked nothing of any other machine in the end."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(WAIT)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(served[0])
    yield page
    page.close()
    assert [url for url in asked if not url.startswith((served[0], "data:", "blob:"))] == []


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "my clip ü.mp4"
    render_clip(path, frames=8)
    return path


def drop(page, path: Path) -> None:
    page.locator("#video input[type=file]").set_input_files(path)


def overlay_after(page, before: str | None) -> str:
    """The address of the picture that has replaced `before`."""
    picture = page.locator("#overlay img")
    if before is not None:
        playwright.expect(picture).not_to_have_attribute("src", before, timeout=WAIT)
    return picture.get_attribute("src")


def results(folder: Path) -> list[Path]:
    return list(folder.glob("*/result-*"))


def test_a_video_is_looked_at_painted_on_interpolated_and_downloaded(page, served, clip, tmp_path):
    drop(page, clip)
    shown = overlay_after(page, None)
    page.locator("#threshold input[type=number]").fill("0.95")
    page.locator("#threshold input[type=number]").press("Enter")
    shown = overlay_after(page, shown)
    page.locator("#feather input[type=number]").fill("0.5")
    page.locator("#feather input[type=number]").press("Enter")
    shown = overlay_after(page, shown)
    page.locator("#at input[type=number]").fill("0.1")
    page.locator("#at input[type=number]").press("Enter")
    shown = overlay_after(page, shown)

    page.get_by_role("tab", name="Paint").click()
    canvas = page.locator("#painting canvas").first
    canvas.wait_for()
    page.wait_for_timeout(2000)  # until it is drawn: nothing on the page says so
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5, steps=20)
    page.mouse.up()
    page.wait_for_timeout(1000)
    page.get_by_role("tab", name="What stands still").click()
    overlay_after(page, shown)

    page.get_by_role("tab", name="Compare").click()
    page.locator("#compare").click()
    page.locator("#both img").first.wait_for()

    page.locator("#run").click()
    playwright.expect(page.locator("#status")).to_contain_text("/8 frames", timeout=WAIT)
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "my clip ü_smooth.mp4"
    download.value.save_as(tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert sum(1 for _ in out.decode(video=0)) == 15
        assert out.streams.audio
    assert "8 frames became 15" in page.locator("#status textarea").input_value()


def test_a_cancelled_run_leaves_nothing_and_another_can_follow(page, served, tmp_path):
    drop(page, make_clip(tmp_path / "long.mp4", times=300, size=(320, 192)))
    overlay_after(page, None)
    for _ in range(2):
        page.locator("#run").click()
        playwright.expect(page.locator("#status")).to_contain_text("/300 frames", timeout=WAIT)
        assert [file.name for folder in results(served[1]) for file in folder.iterdir()] != []
        page.locator("#cancel").click()
        playwright.expect(page.locator("#status textarea")).to_have_value(
            "Cancelled; nothing was written.", timeout=WAIT
        )
        assert results(served[1]) == []
    playwright.expect(page.locator("#run")).to_be_enabled()
    assert not page.locator("#download").is_visible()


def test_whoever_leaves_stops_the_run(page, served, tmp_path):
    drop(page, make_clip(tmp_path / "long.mp4", times=300, size=(320, 192)))
    overlay_after(page, None)
    page.locator("#run").click()
    playwright.expect(page.locator("#status")).to_contain_text("/300 frames", timeout=WAIT)
    page.close()
    until = time.monotonic() + WAIT / 1000
    while results(served[1]) and time.monotonic() < until:
        time.sleep(0.2)
    assert results(served[1]) == []


def test_what_is_wrong_is_one_line_on_the_page(page, clip, tmp_path):
    broken = tmp_path / "bro<b>ken.mp4"
    broken.write_bytes(bytes(range(256)) * 20)
    drop(page, broken)
    told = page.locator(".toast-body")
    playwright.expect(told).to_contain_text("ken.mp4: cannot be read as a video", timeout=WAIT)
    assert "maskvfi-ui-" not in told.inner_text()
    page.locator(".toast-close").click()
    assert page.locator("#run").is_disabled()

    page.locator("#video").get_by_label("Clear").click()
    drop(page, clip)
    overlay_after(page, None)
    page.locator("#fps input, #fps textarea").fill("fast")
    page.locator("#run").click()
    playwright.expect(told).to_contain_text("frame rate must be a number", timeout=WAIT)
    playwright.expect(page.locator("#run")).to_be_enabled()


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", __file__, "pyproject.toml", "https://example.org/", "https:/example.org"],
)
def test_files_elsewhere_are_refused(page, served, path):
    answer = page.request.get(f"{served[0]}gradio_api/file={path}")
    assert answer.status == 403
