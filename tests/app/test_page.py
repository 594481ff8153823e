"""The web page as a person uses it: a real `maskvfi ui`, a real browser."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import ffmpeg, make_clip

import maskvfi
from maskvfi.tools.demo import render_clip

pytest.importorskip("gradio", reason="the page needs gradio: pip install 'maskvfi[ui]'")
playwright = pytest.importorskip("playwright.sync_api", reason="driving a browser needs playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("no chromium, chromium-browser or google-chrome is installed", allow_module_level=True)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT = 120_000  # ms


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=QUIET, timeout=WAIT)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, served) -> Iterator["playwright.Page"]:
    """A fresh page that has asked nothing of any other machine in the end."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(WAIT)
    playwright.expect.set_options(timeout=WAIT)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(served[0])
    yield page
    page.close()
    wait_for_no_files(served[1])
    assert [url for url in asked if not url.startswith((served[0], "data:", "blob:"))] == []


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "my clip ü.mp4"
    render_clip(path.with_stem("large"), frames=8)
    ffmpeg("-i", path.with_stem("large"), "-vf", "scale=320:180", path)
    return path


def drop(page, *paths: Path) -> None:
    page.locator("#video input[type=file]").set_input_files(paths)


def expect_jobs(page, where: str, text: str) -> None:
    """Wait until the queue, or the first job in a state, says something."""
    shown = page.locator(where if where == "#jobs" else f"#jobs {where}").first
    playwright.expect(shown).to_contain_text(text, timeout=WAIT)


def until_focus(page, selector: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"Tab does not lead to {selector}")


def choose_by_keyboard(page, path: Path) -> None:
    """Reach the input with Tab and press Enter, again until the page listens: nothing on it says so.

    A chooser may open late, and while one is open there is no second.
    """
    opened: list[playwright.FileChooser] = []
    page.on("filechooser", lambda chooser: opened.append(chooser))
    page.locator("#video button").first.wait_for()
    for _ in range(20):
        until_focus(page, "#video button")
        page.keyboard.press("Enter")
        for _ in range(20):
            page.wait_for_timeout(250)
            if opened:
                opened[0].set_files(path)
                return
    pytest.fail("Enter opens no file chooser")


def overlay_after(page, before: str | None) -> str:
    """The address of the picture that has replaced `before`."""
    picture = page.locator("#overlay img")
    if before is not None:
        playwright.expect(picture).not_to_have_attribute("src", before, timeout=WAIT)
    return picture.get_attribute("src")


def picture_at(page, address: str) -> np.ndarray:
    """A picture of the page, as an array."""
    data = page.request.get(address).body()
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def files(folder: Path) -> list[Path]:
    """Results, and the uploaded video of the test that asks."""
    return [*results(folder), *folder.rglob("long.mp4")]


def results(folder: Path) -> list[Path]:
    return list(folder.glob("*/result-*"))


def settled(page) -> str:
    """The address of the picture, once it has stayed the same for three seconds."""
    before, since = None, time.monotonic()
    while time.monotonic() < since + 3:
        if (now := page.locator("#overlay img").get_attribute("src")) != before:
            before, since = now, time.monotonic()
        page.wait_for_timeout(200)
    return before


def paint(page, shown: str) -> str:
    """Draw a line in the middle, again until it is shown: nothing on the page says when the editor listens.

    Returns the address of the picture that has replaced `shown`.
    """
    for _ in range(12):
        page.get_by_role("tab", name="Paint").click()
        canvas = page.locator("#painting canvas").first
        canvas.wait_for()
        page.wait_for_timeout(1000)
        box = canvas.bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5, steps=5)
        page.mouse.up()
        page.wait_for_timeout(1000)
        page.get_by_role("tab", name="What stands still").click()
        if (now := settled(page)) != shown:
            return now
    pytest.fail("the editor takes no paint")


def wait_for_no_files(folder: Path) -> None:
    """The server deletes what a visitor had once the visitor has left."""
    until = time.monotonic() + WAIT / 1000
    while files(folder) and time.monotonic() < until:
        time.sleep(0.2)
    assert files(folder) == []


def test_a_video_is_looked_at_painted_on_interpolated_and_downloaded(page, served, clip, tmp_path):
    drop(page, clip)
    shown = overlay_after(page, None)
    page.locator("#threshold input[type=number]").fill("0.6")
    page.locator("#threshold input[type=number]").press("Enter")
    shown = overlay_after(page, shown)
    page.locator("#feather input[type=number]").fill("0.5")
    page.locator("#feather input[type=number]").press("Enter")
    shown = overlay_after(page, shown)
    page.locator("#at input[type=number]").fill("0.1")
    page.locator("#at input[type=number]").press("Enter")
    shown = overlay_after(page, shown)

    painted = paint(page, shown)
    before = picture_at(page, painted)
    box = page.locator("#overlay img").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.25, steps=5)
    page.mouse.up()
    overlay_after(page, painted)
    height, width = before.shape[:2]
    stroke = np.s_[round(height * 0.49) : round(height * 0.51), round(width * 0.45) : round(width * 0.55)]
    target = np.s_[round(height * 0.24) : round(height * 0.26), round(width * 0.45) : round(width * 0.55)]
    deadline = time.monotonic() + WAIT / 1000
    while True:  # a picture that was asked for before the drag may come after it
        after = picture_at(page, settled(page))
        changed = np.abs(after.astype(int) - before).sum(axis=2) > 12
        if changed[stroke].mean() > 0.5 or time.monotonic() > deadline:
            break
    assert changed[stroke].mean() > 0.5
    assert changed[target].mean() > 0.5
    assert changed.mean() < 0.3

    page.get_by_role("tab", name="Compare").click()
    page.locator("#compare").click()
    page.locator("#both img").first.wait_for()

    page.locator("#run").click()
    with page.expect_download() as download:
        page.locator("#results a").click()
    assert download.value.suggested_filename == "my clip ü_smooth.mp4"
    download.value.save_as(tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert sum(1 for _ in out.decode(video=0)) == 15
        assert out.streams.audio
    expect_jobs(page, ".done", "8 frames became 15")
    page.locator("#clear").click()
    expect_jobs(page, "#jobs", "Nothing is in the queue")
    assert results(served[1]) == []


def test_a_queue_goes_on_after_what_was_cancelled_or_is_broken(page, served, tmp_path):
    long = make_clip(tmp_path / "long.mp4", times=300, size=(320, 192))
    short = make_clip(tmp_path / "short.mkv", times=3)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(bytes(range(256)) * 20)
    drop(page, long, broken, short)
    overlay_after(page, None)
    assert "⚠ broken.mp4: cannot be read as a video" in page.locator("#facts").inner_text()
    page.locator("#run").click()
    expect_jobs(page, ".working", "/300 frames")
    picture = page.get_by_alt_text("The frame in progress")
    playwright.expect(picture).to_have_js_property("naturalWidth", 320)
    playwright.expect(picture).to_have_js_property("naturalHeight", 192)
    expect_jobs(page, ".waiting", "short.mkv")
    page.get_by_role("tab", name="Interpolate").click()
    page.locator("#run").click()  # the same again, while the first ones are in progress
    playwright.expect(page.locator("#jobs li")).to_have_count(4, timeout=WAIT)
    page.locator("#cancel").click()
    expect_jobs(page, ".cancelled", "Cancelled; nothing was written.")
    playwright.expect(page.locator("#results a")).to_have_count(1, timeout=WAIT)
    assert [path.name for folder in results(served[1]) for path in folder.glob("short*")] == [
        "short_smooth.mkv"
    ]
    expect_jobs(page, ".working", "/300 frames")
    page.locator("#cancel-all").click()
    playwright.expect(page.locator("#jobs .cancelled")).to_have_count(3, timeout=WAIT)
    playwright.expect(page.locator("#cancel")).to_be_disabled(timeout=WAIT)
    assert len(results(served[1])) == 1


def test_whoever_leaves_stops_the_run(page, served, tmp_path):
    drop(page, make_clip(tmp_path / "long.mp4", times=300, size=(320, 192)))
    overlay_after(page, None)
    page.locator("#run").click()
    expect_jobs(page, ".working", "/300 frames")
    assert any(path.name == "long.mp4" for path in files(served[1]))
    with page.expect_event("dialog") as asked:
        page.evaluate("setTimeout(() => location.reload())")
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()
    expect_jobs(page, ".working", "/300 frames")
    page.close()
    wait_for_no_files(served[1])


def test_still_pixels_are_put_back_into_another_programs_frames(page, clip, tmp_path):
    made = tmp_path / "made elsewhere.mkv"
    maskvfi.interpolate(clip, made, vfi="blend", mask=None)
    page.get_by_role("tab", name="Protect").click()
    page.locator("#protect-source input[type=file]").set_input_files(clip)
    assert page.locator("#protect-run").is_disabled()
    page.locator("#protect-interpolated input[type=file]").set_input_files(made)
    page.locator("#protect-overlay img").wait_for()
    page.locator("#protect-run").click()
    expect_jobs(page, ".done", "8 frames became 15")
    with page.expect_download() as download:
        page.locator("#results a").click()
    assert download.value.suggested_filename == "made elsewhere_protected.mkv"
    download.value.save_as(tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as out:
        assert sum(1 for _ in out.decode(video=0)) == 15


def test_a_version_of_another_video_is_refused(page, served, clip, tmp_path):
    page.get_by_role("tab", name="Protect").click()
    page.locator("#protect-source input[type=file]").set_input_files(clip)
    other = make_clip(tmp_path / "other.mp4", times=12, size=(320, 192))
    page.locator("#protect-interpolated input[type=file]").set_input_files(other)
    page.locator("#protect-overlay img").wait_for()
    page.locator("#protect-run").click()
    expect_jobs(page, ".failed", "other.mp4: is 320x192, which is no whole multiple of the source's 320x180")
    assert "maskvfi-ui-" not in page.locator("#jobs").inner_text()
    assert results(served[1]) == []


def test_everything_can_be_done_by_keyboard(page, served, tmp_path):
    small = make_clip(tmp_path / "small.mp4", times=3)
    choose_by_keyboard(page, small)
    overlay_after(page, None)
    until_focus(page, "#fps input, #fps textarea")
    page.keyboard.type("fast")
    until_focus(page, "#run")
    page.keyboard.press("Enter")
    told = page.locator(".toast-body")
    playwright.expect(told).to_contain_text("frame rate must be a number", timeout=WAIT)
    page.keyboard.press("Escape")
    playwright.expect(told).to_have_count(0, timeout=WAIT)

    page.locator("#overlay").get_by_label("Fullscreen").focus()
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#overlay").get_by_label("Exit fullscreen mode")).to_be_visible()
    page.keyboard.press("Escape")
    playwright.expect(page.locator("#overlay").get_by_label("Exit fullscreen mode")).to_have_count(0)

    page.locator("#fps input, #fps textarea").fill("50")
    page.locator("#run").focus()
    page.keyboard.press("Enter")
    expect_jobs(page, ".done", "3 frames became")
    until_focus(page, "#results a")
    made = [path.name for folder in results(served[1]) for path in folder.glob("small*")]
    assert made == ["small_smooth.mp4"]


def test_nothing_is_cut_off_in_a_narrow_window(page, clip):
    page.set_viewport_size({"width": 390, "height": 844})
    drop(page, clip)
    overlay_after(page, None)
    outside = """() => [...document.querySelectorAll("button, input, textarea, img, p, label, a")]
        .filter((each) => each.checkVisibility() && each.getBoundingClientRect().width > 1)
        .filter((each) => each.getBoundingClientRect().right > innerWidth || each.getBoundingClientRect().left < 0)
        .map((each) => each.outerHTML.slice(0, 200))"""
    for tab in ("Interpolate", "Protect", "Queue"):
        page.get_by_role("tab", name=tab).click()
        for section in page.locator("button.label-wrap").all():
            if section.is_visible():
                section.click()
        assert page.evaluate(outside) == []
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_what_is_wrong_is_one_line_on_the_page(page, clip, tmp_path):
    broken = tmp_path / "bro<b>_ken_.mp4"
    broken.write_bytes(bytes(range(256)) * 20)
    drop(page, broken)
    facts = page.locator("#facts")
    playwright.expect(facts).to_contain_text("_ken_.mp4: cannot be read as a video", timeout=WAIT)
    assert "maskvfi-ui-" not in facts.inner_text()
    assert page.locator("#run").is_disabled()

    page.locator("#video").get_by_label("Clear").click()
    playwright.expect(facts).not_to_contain_text("_ken_.mp4", timeout=WAIT)
    drop(page, clip)
    overlay_after(page, None)
    page.locator("#fps input, #fps textarea").fill("fast")
    page.locator("#run").click()
    told = page.locator(".toast-body")
    playwright.expect(told).to_contain_text("frame rate must be a number", timeout=WAIT)
    assert page.locator("#run").is_enabled()


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"]
)
def test_a_playlist_is_no_way_to_files_elsewhere(page, clip, tmp_path, text):
    playlist = tmp_path / "list.mp4"
    playlist.write_text(text.format(clip))
    drop(page, playlist)
    facts = page.locator("#facts")
    playwright.expect(facts).to_contain_text("list.mp4: is a playlist, which names other files", timeout=WAIT)
    assert page.locator("#run").is_disabled()
