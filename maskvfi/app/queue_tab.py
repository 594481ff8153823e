"""The tab with the queue: what waits, what is in progress, and the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from maskvfi.app.queue import Queue
from maskvfi.app.queue_view import EMPTY, show_queue
from maskvfi.app.visitors import Visitors

QUEUE = "queue"  # the tab's id
FOCUS = """() => document.querySelector("[role=tab][aria-selected=true]")?.focus()"""


class QueueTab:
    """The widgets, made at the current place of the page, and a method for each event.

    Args:
        visitors: The sessions.
        tabs: The tabs that it is one of.
    """

    def __init__(self, visitors: Visitors, tabs: gr.Tabs) -> None:
        self._visitors, self._tabs = visitors, tabs
        self._jobs = gr.HTML(EMPTY, elem_id="jobs")
        with gr.Row():
            shared: dict[str, Any] = {"interactive": False, "min_width": 100}
            self._one = gr.Button("Cancel", variant="stop", elem_id="cancel", **shared)
            self._all = gr.Button("Cancel all", elem_id="cancel-all", **shared)
            self._clear = gr.Button("Clear what has ended", elem_id="clear", **shared)
        self._results = gr.File(
            label="Results", file_count="multiple", interactive=False, visible=False, elem_id="results"
        )
        self._clock = gr.Timer(1, active=False)
        self._shown = [self._jobs, self._one, self._all, self._clear, self._results, self._clock]

    def connect(self) -> None:
        """Connect the events of the widgets with the methods below."""
        at_once: dict[str, Any] = {"queue": False, "show_progress": "hidden"}
        self._clock.tick(self.look, None, self._jobs, **at_once)
        self._one.click(self.cancel_one, None, self._shown, **at_once)
        self._all.click(self.cancel_all, None, self._shown, **at_once)
        self._clear.click(self.clear, None, self._shown, **at_once)

    def start_by(self, button: gr.Button, add: Callable[..., None], inputs: set[Any]) -> None:
        """Let a button put jobs into the queue, show it, and do them.

        Args:
            button: The button.
            add: Puts the jobs into the queue; it takes the values of `inputs` and the request.
            inputs: The widgets that it reads.
        """
        added = button.click(add, inputs, None)
        shown = added.success(self.begin, None, [self._tabs, *self._shown], queue=False)
        shown.success(None, js=FOCUS)  # the button is out of sight now: go on from the tab
        shown.success(
            self.work,
            None,
            self._shown,
            concurrency_id="work",
            concurrency_limit=1,
            trigger_mode="multiple",
            show_progress="hidden",
        )

    def begin(self, request: gr.Request) -> list[Any]:
        """Show the queue."""
        return [gr.update(selected=QUEUE), *_state(self._visitors.session(request).queue)]

    def work(self, request: gr.Request) -> Iterator[list[Any]]:
        """Do what waits; shows every result as it comes."""
        queue = self._visitors.session(request).queue
        for _ in queue.work():
            yield _state(queue)
        yield _state(queue)

    def look(self, request: gr.Request) -> str:
        """Show how far the jobs are."""
        if self._visitors.has_left(request):  # asked every second: no place for an error
            return EMPTY
        return show_queue(self._visitors.session(request).queue.jobs)

    def cancel_one(self, request: gr.Request) -> list[Any]:
        """Stop the job in progress."""
        queue = self._visitors.session(request).queue
        queue.cancel_one()
        return _state(queue)

    def cancel_all(self, request: gr.Request) -> list[Any]:
        """Stop all jobs."""
        queue = self._visitors.session(request).queue
        queue.cancel_all()
        return _state(queue)

    def clear(self, request: gr.Request) -> list[Any]:
        """Forget the jobs that have ended, and delete their results."""
        queue = self._visitors.session(request).queue
        queue.clear()
        return _state(queue)


def _state(queue: Queue) -> list[Any]:
    """Values for all widgets of the tab."""
    busy = gr.update(interactive=queue.busy)
    results = [str(path) for path in queue.results]
    return [
        show_queue(queue.jobs),
        busy,
        busy,
        gr.update(interactive=queue.ended),
        gr.update(value=results or None, visible=bool(results)),
        gr.update(active=queue.busy),
    ]
