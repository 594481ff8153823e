"""The tab that puts another program's version of a video into the queue, to get the still pixels back."""

from __future__ import annotations

from typing import Any

import gradio as gr

from maskvfi.app.facts import describe_videos
from maskvfi.app.pictures import BELOW_PICTURE, PAINTED, Given, Pictures, layers_of
from maskvfi.app.queue_tab import QueueTab
from maskvfi.app.visitors import Visitors, errors_on_page
from maskvfi.app.widgets import make_sections, values_of
from maskvfi.options import DecodeOptions, EncodeOptions, OptionGroup, SceneOptions, StillOptions

PREFIX = "protect-"
SECTIONS: dict[str, type[OptionGroup]] = {
    "Mask": StillOptions,
    "Cuts": SceneOptions,
    "What is read": DecodeOptions,
    "Encoder": EncodeOptions,
}


class ProtectTab:
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
                gr.Markdown("Puts still pixels back into what another program has made of a video.")
                self._source = gr.File(label="Source", elem_id=f"{PREFIX}source", height=120)
                self._source_facts = gr.Markdown(elem_id=f"{PREFIX}source-facts")
                self._made = gr.File(label="Interpolated", elem_id=f"{PREFIX}interpolated", height=120)
                self._made_facts = gr.Markdown(elem_id=f"{PREFIX}interpolated-facts")
                self.options = make_sections(SECTIONS, {*PAINTED, *BELOW_PICTURE}, PREFIX)
                self._start = gr.Button(
                    "Protect", variant="primary", interactive=False, elem_id=f"{PREFIX}run"
                )
            with gr.Column(scale=5, min_width=320):
                self._pictures = Pictures(visitors, PREFIX, compare=False)
        self.options |= self._pictures.options

    def connect(self, queue: QueueTab) -> None:
        """Connect the events of the widgets with the methods below."""
        files = [self._source, self._made]
        everything = {*files, self._pictures.at, self._pictures.painting, *self.options.values()}
        self._pictures.connect(self._video, self.options, {self._source})
        facts = [self._source_facts, self._made_facts, self._start]
        self._source.change(self.list_videos, files, facts).then(
            self._pictures.open, everything, self._pictures.shown
        )
        self._made.change(self.list_videos, files, facts)
        queue.start_by(self._start, self.add, everything)

    def list_videos(self, source: str | None, made: str | None, request: gr.Request) -> list[Any]:
        """Say what the videos are."""
        self._visitors.session(request).uploads.update(filter(None, (source, made)))
        told = [describe_videos([path] if path else []) for path in (source, made)]
        ready = all(readable for _, readable in told)
        return [*(lines for lines, _ in told), gr.update(interactive=ready)]

    def add(self, given: Given, request: gr.Request) -> None:
        """Put the video into the queue."""
        with errors_on_page(""):
            asked = values_of(self.options, given)
            layers = layers_of(given[self._pictures.painting])
            session = self._visitors.session(request)
            session.protect(given[self._source], given[self._made], layers, asked)

    def _video(self, given: Given) -> str | None:
        source: str | None = given[self._source]
        return source if describe_videos([source] if source else [])[1] else None
