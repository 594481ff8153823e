"""The tab that puts videos into the queue, to be interpolated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from maskvfi.app.facts import describe_videos
from maskvfi.app.pictures import BELOW_PICTURE, PAINTED, Given, Pictures, layers_of
from maskvfi.app.queue_tab import QueueTab
from maskvfi.app.visitors import Visitors, errors_on_page
from maskvfi.app.widgets import make_sections, make_widgets, values_of
from maskvfi.options import DecodeOptions, EncodeOptions, FrameOptions, OptionGroup, TimeOptions

FIRST = ("factor", "fps")  # options that most people set
SECTIONS: dict[str, type[OptionGroup]] = {
    "Time": TimeOptions,
    "Networks and mask": FrameOptions,
    "What is read": DecodeOptions,
    "Encoder": EncodeOptions,
}


class InterpolateTab:
    """The widgets, made at the current place of the page, and a method for each event.

    Args:
        visitors: The sessions.

    Attributes:
        options: The widgets by option name.
    """

    def __init__(self, visitors: Visitors) -> None:
        self._visitors = visitors
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                self._videos = gr.File(label="Videos", file_count="multiple", elem_id="video", height=140)
                self._facts = gr.Markdown(elem_id="facts")
                self._which = gr.Dropdown([], label="Shown", visible=False, elem_id="which")
                with gr.Group():
                    self.options = make_widgets(FIRST)
                self.options |= make_sections(SECTIONS, {*FIRST, *PAINTED, *BELOW_PICTURE})
                self._start = gr.Button("Interpolate", variant="primary", interactive=False, elem_id="run")
            with gr.Column(scale=5, min_width=320):
                self._pictures = Pictures(visitors)
        self.options |= self._pictures.options

    def connect(self, queue: QueueTab) -> None:
        """Connect the events of the widgets with the methods below."""
        inputs = {self._videos, self._which}
        everything = inputs | {self._pictures.at, self._pictures.painting, *self.options.values()}
        self._pictures.connect(self._video, self.options, inputs)
        listed = self._videos.change(self.list_videos, self._videos, [self._facts, self._which, self._start])
        shown = self._pictures.shown
        listed.then(self._pictures.open, everything, shown)
        self._which.input(self._pictures.open, everything, shown, trigger_mode="always_last")
        queue.start_by(self._start, self.add, everything)

    def list_videos(self, videos: list[str] | None, request: gr.Request) -> list[Any]:
        """Say what the videos are, and show the first one that can be read."""
        videos = videos or []
        self._visitors.session(request).uploads.update(videos)
        lines, readable = describe_videos(videos)
        choices = [(f"{number + 1}. {Path(videos[number]).name}", number) for number in readable]
        first = readable[0] if readable else None
        which = gr.update(choices=choices, value=first, visible=len(readable) > 1)
        count = f" {len(readable)} videos" if len(readable) > 1 else ""
        return [lines, which, gr.update(value=f"Interpolate{count}", interactive=bool(readable))]

    def add(self, given: Given, request: gr.Request) -> None:
        """Put the videos into the queue."""
        videos = given[self._videos] or []
        _, readable = describe_videos(videos)
        with errors_on_page(""):
            asked = values_of(self.options, given)
            layers = layers_of(given[self._pictures.painting])
            self._visitors.session(request).interpolate([videos[each] for each in readable], layers, asked)

    def _video(self, given: Given) -> str | None:
        videos, which = given[self._videos] or [], given[self._which]
        return videos[which] if isinstance(which, int) and which < len(videos) else None
