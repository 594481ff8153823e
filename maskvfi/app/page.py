"""The widgets of the page and their event handlers."""

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
PAINTED = ("protect", "release")  # options that are set by painting
FIRST = ("factor", "fps")  # options that most people set
BELOW_PICTURE = ("threshold", "feather")  # options whose effect the picture shows at once
SECTIONS: dict[str, type[OptionGroup]] = {
    "Time": TimeOptions,
    "Networks and mask": FrameOptions,
    "What is read": DecodeOptions,
    "Encoder": EncodeOptions,
}

Given = Mapping[Any, Any]  # the value of every widget, as gradio passes them


def build_page(root: Path) -> tuple[gr.Blocks, Callable[[], None]]:
    """Build the page.

    Args:
        root: The folder for results.

    Returns:
        The page, and a function that ends the work of all visitors.
    """
    sessions = Sessions(root)
    with gr.Blocks(title="maskvfi", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        Page(sessions).connect()
        page.unload(sessions.leave)
    return page.queue(api_open=False), sessions.close


class Sessions:
    """The sessions of all visitors.

    Args:
        root: The folder for results.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_visitor: dict[str, Session] = {}

    def of(self, request: gr.Request) -> Session:
        """The session of the visitor who sends a request; a new visitor gets a new one."""
        return self._by_visitor.setdefault(str(request.session_hash), Session(self._root))

    def leave(self, request: gr.Request) -> None:
        """End the session of a visitor who has closed the page."""
        if session := self._by_visitor.pop(str(request.session_hash), None):
            session.close()

    def close(self) -> None:
        """End all sessions."""
        for session in self._by_visitor.values():
            session.cancel()
        for session in self._by_visitor.values():
            session.close()


class Page:
    """The widgets of the page, and a method for each event.

    The methods take the values of all widgets and the visitor's request, and return new values for widgets.

    Args:
        sessions: The sessions of all visitors.
    """

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
            names = {each.name for each in option_fields(group)} - {*PAINTED, *BELOW_PICTURE, *FIRST}
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
            self.options |= make_widgets(BELOW_PICTURE)

    def connect(self) -> None:
        """Connect the events of the widgets with the methods below."""
        everything = {self.video, self.at, self.painting, *self.options.values()}
        quick: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
        opened = [self.facts, self.at, self.overlay, self.painting, self.both, self.start, self.pair]
        self.video.change(self.open_video, everything, opened)
        self.at.input(self.move, everything, [self.overlay, self.painting], **quick)
        touched = [self.options[name].input for name in (*BELOW_PICTURE, "mask")]
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
        """Show the frame in the middle of a new video."""
        video = given[self.video]
        if video is None:
            off = gr.update(interactive=False)
            return ["", gr.update(value=0, interactive=False), None, None, None, off, off]
        with errors_on_page(video):
            with open_source(video) as reader:
                info = reader.info
            length = float(info.duration or (info.frames_estimate or 0) / info.rate)
            at = round(length / 2, 2)
            facts = f"{info.width}×{info.height}, {float(info.rate):.5g} frames per second, {length:.1f} s"
            shown = self._session(request).overlay(video, at, [], self._options(given))
            position = gr.update(value=at, maximum=max(length, 0.01), interactive=True)
            on = gr.update(interactive=True)
            frame = self._session(request).frame(video, at)
            return [facts, position, shown, _canvas(frame, []), None, on, on]

    def look(self, given: Given, request: gr.Request) -> Any:
        """Show which pixels would be copied."""
        video = given[self.video]
        if video is None:
            return None
        with errors_on_page(video):
            layers = layers_of(given[self.painting])
            return self._session(request).overlay(video, given[self.at], layers, self._options(given))

    def move(self, given: Given, request: gr.Request) -> list[Any]:
        """Show the frame at another position, with the same paint."""
        video = given[self.video]
        if video is None:
            return [None, None]
        with errors_on_page(video):
            frame = self._session(request).frame(video, given[self.at])
            return [self.look(given, request), _canvas(frame, layers_of(given[self.painting]))]

    def compare(self, given: Given, request: gr.Request) -> Any:
        """Show a new frame without and with the mask."""
        video = given[self.video]
        with errors_on_page(video):
            layers = layers_of(given[self.painting])
            return self._session(request).compare(video, given[self.at], layers, self._options(given))

    def prepare(self, request: gr.Request) -> list[Any]:
        """Make the page ready for a run."""
        self._session(request).prepare()
        return ["", gr.update(interactive=False), gr.update(visible=True), gr.update(visible=False)]

    def run(
        self,
        given: Given,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list[Any]:
        """Interpolate the video."""
        video = given[self.video]
        with errors_on_page(video):
            try:
                report = self._session(request).run(
                    video,
                    given[self.at],
                    layers_of(given[self.painting]),
                    lambda done, total: progress((done, total), unit="frames"),
                    self._options(given),
                )
            except Cancelled:
                return ["Cancelled; nothing was written.", gr.update(visible=False)]
        return [summary(report), gr.update(value=report.output, visible=True)]

    def cancel(self, request: gr.Request) -> str:
        """Stop the run."""
        self._session(request).cancel()
        return "Stopping …"

    def restore(self) -> list[Any]:
        """Make the page ready for another run."""
        return [gr.update(interactive=True), gr.update(visible=False)]

    def _options(self, given: Given) -> dict[str, Any]:
        return values_of(self.options, given)


@contextmanager
def errors_on_page(video: str) -> Iterator[None]:
    """Show an error about a video or a setting as one line on the page.

    Args:
        video: The path of the video; its folder is left out of the message.
    """
    try:
        yield
    except (MaskvfiError, ValueError, OSError) as error:
        line = " ".join(str(error).replace(f"{Path(video).parent}/", "").split())
        raise gr.Error(html.escape(line), duration=None, print_exception=False) from None


def layers_of(painting: dict[str, Any] | None) -> Sequence[np.ndarray]:
    """The painted layers, RGBA uint8 [h,w,4], of the value of the paint widget."""
    return [] if painting is None else painting["layers"]


def _canvas(frame: np.ndarray, layers: Sequence[np.ndarray]) -> dict[str, Any]:
    return {"background": frame, "layers": layers, "composite": None}


def summary(report: Report) -> str:
    """Describe a run in a few lines, without the folders of its files."""
    speed = report.frames_out / max(report.seconds["total"], 1e-9)
    lines = [
        f"{report.frames_in} frames became {report.frames_out}, {report.cuts} cuts, "
        f"{report.static_share:.0%} still, {speed:.1f} fps on {report.device}"
    ]
    folder = f"{Path(report.input).parent}/"
    return "\n".join(
        [*lines, *(line.replace(folder, "") for line in [*report.warnings, report.damage] if line)]
    )
