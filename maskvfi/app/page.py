"""What the page looks like, and what happens on it."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from maskvfi import Report
from maskvfi.app.session import PROTECT, RELEASE, Cancelled, Session
from maskvfi.app.widgets import Widgets, make_widgets, values_of
from maskvfi.errors import MaskvfiError
from maskvfi.options import (
    DecodeOptions,
    EncodeOptions,
    FrameOptions,
    OptionGroup,
    TimeOptions,
    option_fields,
)
from maskvfi.video import open_source

STYLE = """
.gradio-container { max-width: 1240px !important; width: 100% !important; margin: auto; }
#overlay .image-frame { width: 100%; }
#overlay img, #both img { width: 100%; max-height: 75vh; object-fit: contain !important; }
#head p { color: var(--body-text-color-subdued); margin-top: 0; }
"""
LAYERS = gr.LayerOptions(allow_additional_layers=False, layers=["paint"], disabled=True)
BRUSH = gr.Brush(default_size=24, colors=[f"rgb{PROTECT}", f"rgb{RELEASE}"], color_mode="fixed")
PAINTED = ("protect", "release")  # options that are given by painting
FIRST = ("factor", "fps")  # what most people set
BY_LOOKING = ("threshold", "feather")  # options that are tried out below the picture
SECTIONS: dict[str, type[OptionGroup]] = {
    "Time": TimeOptions,
    "Networks and mask": FrameOptions,
    "What is read": DecodeOptions,
    "Encoder": EncodeOptions,
}

Given = Mapping[Any, Any]  # values by widget


def build_page(root: Path) -> tuple[gr.Blocks, Callable[[], None]]:
    """The page, whose files lie in `root`, and what ends everyone's work on it."""
    sessions = Sessions(root)
    with gr.Blocks(title="maskvfi", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        Page(sessions).connect()
        page.unload(sessions.leave)
    return page.queue(api_open=False), sessions.close


class Sessions:
    """Everyone's work, by visitor."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_visitor: dict[str, Session] = {}

    def of(self, request: gr.Request) -> Session:
        return self._by_visitor.setdefault(str(request.session_hash), Session(self._root))

    def leave(self, request: gr.Request) -> None:
        """The visitor has closed the page."""
        if left := self._by_visitor.pop(str(request.session_hash), None):
            left.close()

    def close(self) -> None:
        for left in self._by_visitor.values():
            left.cancel()
        for left in self._by_visitor.values():
            left.close()


class Page:
    """The widgets of the page, drawn from top to bottom, and what each of them does."""

    def __init__(self, sessions: Sessions) -> None:
        self._session = sessions.of
        self.options: Widgets = {}
        gr.Markdown(
            "# maskvfi\nRaises a video's frame rate and leaves alone what stands still: HUD, subtitles, logos.",
            elem_id="head",
        )
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                self._draw_run()
            with gr.Column(scale=5, min_width=320):
                self._draw_pictures()

    def _draw_run(self) -> None:
        self.video = gr.File(label="Video", elem_id="video", height=120)
        self.facts = gr.Markdown(elem_id="facts")
        with gr.Group():
            self.options |= make_widgets(FIRST)
        for title, group in SECTIONS.items():
            names = {each.name for each in option_fields(group)} - {*PAINTED, *BY_LOOKING, *FIRST}
            with gr.Accordion(title, open=False):
                self.options |= make_widgets(names)
        self.start = gr.Button("Interpolate", variant="primary", interactive=False, elem_id="run")
        self.stop = gr.Button("Cancel", variant="stop", visible=False, elem_id="cancel")
        self.status = gr.Textbox(label="Result", interactive=False, lines=2, elem_id="status")
        self.download = gr.DownloadButton("Download", visible=False, elem_id="download")

    def _draw_pictures(self) -> None:
        picture: dict[str, Any] = {"show_label": False, "buttons": ["fullscreen"]}
        with gr.Tabs():
            with gr.Tab("What stands still") as self.still:
                gr.Markdown("Green is copied, the rest is interpolated.")
                self.overlay = gr.Image(interactive=False, elem_id="overlay", **picture)
            with gr.Tab("Paint"):
                gr.Markdown("Blue is always copied, red is always interpolated, in the whole video.")
                self.painting = gr.ImageEditor(
                    height="min(480px, 62vw)",
                    format="png",
                    sources=(),
                    transforms=(),
                    brush=BRUSH,
                    layers=LAYERS,
                    elem_id="painting",
                    **picture,
                )
            with gr.Tab("Compare"):
                gr.Markdown("A new frame, made by plain interpolation (left) and with the mask (right).")
                self.both = gr.ImageSlider(interactive=False, elem_id="both", **picture)
                self.pair = gr.Button("Compare at this position", interactive=False, elem_id="compare")
        with gr.Row():
            self.at = gr.Slider(0, 1, 0, step=0.01, label="Position, s", interactive=False, elem_id="at")
            self.options |= make_widgets(BY_LOOKING)

    def connect(self) -> None:
        """Say what happens when a widget is touched."""
        everything = {self.video, self.at, self.painting, *self.options.values()}
        quick: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
        opened = [self.facts, self.at, self.overlay, self.painting, self.both, self.start, self.pair]
        self.video.change(self.open_video, everything, opened)
        self.at.input(self.move, everything, [self.overlay, self.painting], **quick)
        touched = [self.options[name].input for name in (*BY_LOOKING, "mask")]
        for changed in (*touched, self.painting.input, self.still.select):
            changed(self.look, everything, self.overlay, **quick)
        self.pair.click(self.compare, everything, self.both)
        begun = self.start.click(
            self.prepare, None, [self.status, self.start, self.stop, self.download], queue=False
        )
        done = begun.then(
            self.run,
            everything,
            [self.status, self.download],
            show_progress_on=self.status,
            concurrency_limit=1,
        )
        done.success(self.restore, None, [self.start, self.stop], queue=False)
        done.failure(self.restore, None, [self.start, self.stop], queue=False)
        self.stop.click(self.cancel, None, self.status, queue=False, show_progress="hidden")

    def open_video(self, given: Given, request: gr.Request) -> list[Any]:
        video = given[self.video]
        if video is None:
            off = gr.update(interactive=False)
            return ["", gr.update(value=0, interactive=False), None, None, None, off, off]
        with told(video):
            with open_source(video) as reader:
                info = reader.info
            length = float(info.duration or (info.frames_estimate or 0) / info.rate)
            at = round(length / 2, 2)
            facts = f"{info.width}×{info.height}, {float(info.rate):.5g} frames per second, {length:.1f} s"
            shown = self._session(request).overlay(video, at, [], self._asked(given))
            position = gr.update(value=at, maximum=max(length, 0.01), interactive=True)
            on = gr.update(interactive=True)
            frame = self._session(request).frame(video, at)
            return [facts, position, shown, _canvas(frame, []), None, on, on]

    def look(self, given: Given, request: gr.Request) -> Any:
        video = given[self.video]
        if video is None:
            return None
        with told(video):
            layers = layers_of(given[self.painting])
            return self._session(request).overlay(video, given[self.at], layers, self._asked(given))

    def move(self, given: Given, request: gr.Request) -> list[Any]:
        video = given[self.video]
        if video is None:
            return [None, None]
        with told(video):
            frame = self._session(request).frame(video, given[self.at])
            return [self.look(given, request), _canvas(frame, layers_of(given[self.painting]))]

    def compare(self, given: Given, request: gr.Request) -> Any:
        video = given[self.video]
        with told(video):
            layers = layers_of(given[self.painting])
            return self._session(request).compare(video, given[self.at], layers, self._asked(given))

    def prepare(self, request: gr.Request) -> list[Any]:
        self._session(request).prepare()
        return ["", gr.update(interactive=False), gr.update(visible=True), gr.update(visible=False)]

    def run(
        self,
        given: Given,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list[Any]:
        video = given[self.video]
        with told(video):
            try:
                report = self._session(request).run(
                    video,
                    given[self.at],
                    layers_of(given[self.painting]),
                    lambda done, total: progress((done, total), unit="frames"),
                    self._asked(given),
                )
            except Cancelled:
                return ["Cancelled; nothing was written.", gr.update(visible=False)]
        return [summary(report), gr.update(value=report.output, visible=True)]

    def cancel(self, request: gr.Request) -> str:
        self._session(request).cancel()
        return "Stopping …"

    def restore(self) -> list[Any]:
        return [gr.update(interactive=True), gr.update(visible=False)]

    def _asked(self, given: Given) -> dict[str, Any]:
        return values_of(self.options, given)


@contextmanager
def told(video: str) -> Iterator[None]:
    """What is wrong with a video or a setting becomes one line on the page."""
    try:
        yield
    except (MaskvfiError, ValueError, OSError) as error:
        line = " ".join(str(error).replace(f"{Path(video).parent}/", "").split())
        raise gr.Error(html.escape(line), duration=None, print_exception=False) from None


def layers_of(painting: dict[str, Any] | None) -> Sequence[np.ndarray]:
    return [] if painting is None else painting["layers"]


def _canvas(frame: np.ndarray, layers: Sequence[np.ndarray]) -> dict[str, Any]:
    return {"background": frame, "layers": layers, "composite": None}


def summary(report: Report) -> str:
    speed = report.frames_out / max(report.seconds["total"], 1e-9)
    lines = [
        f"{report.frames_in} frames became {report.frames_out}, {report.cuts} cuts, "
        f"{report.static_share:.0%} still, {speed:.1f} fps on {report.device}"
    ]
    folder = f"{Path(report.input).parent}/"
    return "\n".join(
        [*lines, *(line.replace(folder, "") for line in [*report.warnings, report.damage] if line)]
    )
