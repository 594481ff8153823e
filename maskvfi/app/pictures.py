"""The pictures of a tab: what stands still in a frame, what is painted over it, and a comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
import numpy as np

from maskvfi.app.paint import PROTECT, RELEASE, Layers, fits, moved
from maskvfi.app.previews import Previews
from maskvfi.app.visitors import Visitors, errors_on_page
from maskvfi.app.widgets import Widgets, make_widgets, values_of
from maskvfi.video import open_source

PAINTED = ("protect", "release")  # options that are set by painting
BELOW_PICTURE = ("threshold", "feather")  # options whose effect the picture shows at once
STEPS = {"left": ("←", -1, 0), "right": ("→", 1, 0), "up": ("↑", 0, -1), "down": ("↓", 0, 1)}
LAYERS = gr.LayerOptions(allow_additional_layers=False, layers=["paint"], disabled=True)
BRUSH = gr.Brush(default_size=24, colors=[f"rgb{PROTECT}", f"rgb{RELEASE}"], color_mode="fixed")
STYLE = """
.pictures img { width: 100%; max-height: 75vh; object-fit: contain !important; }
.pictures .image-frame { width: 100%; }
.steps { flex-wrap: nowrap !important; align-items: end; }
.steps button { min-width: 44px !important; }
.dragged { display: none !important; }
.draggable img { cursor: grab; }
.draggable img:active { cursor: grabbing; }
"""

# A drag over the picture ends in the text field of its tab, as "right down time": shares of width and height.
# The time makes two equal drags differ, since gradio only tells of changes.
DRAG = """() => {
    let from = null;
    document.addEventListener("dragstart", (event) => {
        if (event.target.closest?.(".draggable")) event.preventDefault();
    });
    document.addEventListener("pointerdown", (event) => {
        const over = event.target.closest?.(".draggable img");
        from = over && event.button === 0 ? {over, x: event.clientX, y: event.clientY} : null;
    });
    document.addEventListener("pointerup", (event) => {
        if (!from) return;
        const {over, x, y} = from, box = over.getBoundingClientRect();
        const scale = Math.min(box.width / over.naturalWidth, box.height / over.naturalHeight);
        const right = (event.clientX - x) / (scale * over.naturalWidth);
        const down = (event.clientY - y) / (scale * over.naturalHeight);
        from = null;
        if (Math.hypot(event.clientX - x, event.clientY - y) < 3) return;
        const field = document.querySelector(`#${over.closest(".draggable").id}-dragged textarea`);
        field.value = `${right} ${down} ${event.timeStamp}`;
        field.dispatchEvent(new Event("input", {bubbles: true}));
    });
}"""

Given = Mapping[Any, Any]  # the value of every widget, as gradio passes them


class Pictures:
    """The widgets, made at the current place of the page, and a method for each of their events.

    The methods take the values of all widgets and the visitor's request, and return new values for widgets.

    Args:
        visitors: The sessions.
        prefix: Stands before the names of its widgets in the page's HTML ids.
        compare: Whether new frames can be compared.

    Attributes:
        options: The widgets of options below the picture.
        painting: The widget that is painted on.
        at: The widget with the position, in seconds after the first frame.
    """

    def __init__(self, visitors: Visitors, prefix: str = "", compare: bool = True) -> None:
        self._visitors, self._prefix = visitors, prefix
        picture: dict[str, Any] = {"show_label": False, "buttons": ["fullscreen"], "elem_classes": "pictures"}
        with gr.Tabs():
            with gr.Tab("What stands still") as self._still:
                gr.Markdown(
                    "Green is copied, orange was replaced in place, the rest moves. "
                    "Drag the picture, and what is painted moves with it."
                )
                self._overlay = gr.Image(
                    interactive=False,
                    elem_id=f"{prefix}overlay",
                    **picture | {"elem_classes": ["pictures", "draggable"]},
                )
                self._dragged = gr.Textbox(elem_id=f"{prefix}overlay-dragged", elem_classes="dragged")
            with gr.Tab("Paint"):
                gr.Markdown("Blue is always copied, red never, in the whole video.")
                self._draw_painting()
            with gr.Tab("Compare", visible=compare):
                gr.Markdown("A new frame, made by plain interpolation (left) and with the mask (right).")
                self._both = gr.ImageSlider(interactive=False, elem_id=f"{prefix}both", **picture)
                self._pair = gr.Button(
                    "Compare at this position", interactive=False, elem_id=f"{prefix}compare"
                )
        with gr.Row():
            self.at = gr.Slider(
                0, 1, 0, step=0.01, label="Position, s", interactive=False, elem_id=f"{prefix}at"
            )
            self.options: Widgets = make_widgets(BELOW_PICTURE, prefix)
        self.shown = [self.at, self._overlay, self.painting, self._both, self._pair]

    def _draw_painting(self) -> None:
        self.painting = gr.ImageEditor(
            height="min(480px, 62vw)",
            format="png",
            sources=(),
            transforms=(),
            brush=BRUSH,
            layers=LAYERS,
            show_label=False,
            buttons=["fullscreen"],
            elem_id=f"{self._prefix}painting",
        )
        with gr.Row(elem_classes="steps"):
            self._arrows = {
                name: gr.Button(sign, min_width=44, elem_id=f"{self._prefix}{name}")
                for name, (sign, _, _) in STEPS.items()
            }
        self._step = gr.Slider(
            1, 100, 16, step=1, label="An arrow moves the paint by, px", elem_id=f"{self._prefix}step"
        )

    def connect(self, video_of: Callable[[Given], str | None], options: Widgets, inputs: set[Any]) -> None:
        """Connect the events of the widgets with the methods below.

        Args:
            video_of: The path of the video that is shown, or None.
            options: The widgets of all options of the tab.
            inputs: Further widgets that `video_of` reads.
        """
        self._video_of, self._options = video_of, options
        self._everything = {self.at, self.painting, self._step, self._dragged, *options.values(), *inputs}
        quick: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
        self.at.input(self.move, self._everything, [self._overlay, self.painting], **quick)
        touched = [options[name].input for name in (*BELOW_PICTURE, "mask")]
        for changed in (*touched, self.painting.input, self._still.select):
            changed(self.look, self._everything, self._overlay, **quick)
        self._dragged.change(self.drag, self._everything, [self._overlay, self.painting], **quick)
        for name, arrow in self._arrows.items():
            arrow.click(self.shift_to(name), self._everything, [self._overlay, self.painting], **quick)
        self._pair.click(self.compare, self._everything, self._both)

    def open(self, given: Given, request: gr.Request) -> list[Any]:
        """Show the frame in the middle of a video; paint stays if it fits. Returns values for `shown`."""
        video = self._video_of(given)
        if video is None:
            return self._nothing()
        previews = self._previews(request)
        try:
            with errors_on_page(video):
                with open_source(video) as reader:
                    length = reader.info.length
                at = round(length / 2, 2)
                frame = previews.frame(video, at)
                layers = layers_of(given[self.painting])
                layers = layers if fits(layers, frame.shape[1], frame.shape[0]) else []
                overlay = previews.overlay(video, at, layers, values_of(self._options, given))
        except gr.Error as error:  # the picture of another video must not stay
            gr.Warning(error.message, duration=None)
            return self._nothing()
        position = gr.update(value=at, maximum=max(length, 0.01), interactive=True)
        return [position, overlay, _canvas(frame, layers), None, gr.update(interactive=True)]

    def _nothing(self) -> list[Any]:
        """Values for `shown` where there is no picture."""
        off = gr.update(interactive=False)
        return [gr.update(value=0, interactive=False), None, None, None, off]

    def look(self, given: Given, request: gr.Request) -> Any:
        """Show which pixels would be copied."""
        return self._overlaid(given, request, layers_of(given[self.painting]))

    def move(self, given: Given, request: gr.Request) -> list[Any]:
        """Show the frame at another position, with the same paint."""
        return self._painted(given, request, layers_of(given[self.painting]))

    def shift_to(self, direction: str) -> Callable[[Given, gr.Request], list[Any]]:
        """A handler that moves the paint by a step in a direction."""
        _, right, down = STEPS[direction]

        def shift(given: Given, request: gr.Request) -> list[Any]:
            step = int(given[self._step])
            layers = moved(layers_of(given[self.painting]), right * step, down * step)
            return self._painted(given, request, layers)

        return shift

    def drag(self, given: Given, request: gr.Request) -> list[Any]:
        """Move the paint as far as the picture was dragged."""
        right, down, _ = (float(share) for share in given[self._dragged].split())
        layers = layers_of(given[self.painting])
        if layers:
            height, width = layers[0].shape[:2]
            layers = moved(layers, round(right * width), round(down * height))
        return self._painted(given, request, layers)

    def compare(self, given: Given, request: gr.Request) -> Any:
        """Show a new frame without and with the mask."""
        video = self._video_of(given)
        if video is None:
            return None
        with errors_on_page(video):
            layers, asked = layers_of(given[self.painting]), values_of(self._options, given)
            return self._previews(request).compare(video, given[self.at], layers, asked)

    def _painted(self, given: Given, request: gr.Request, layers: Layers) -> list[Any]:
        """The overlay and the canvas with this paint."""
        video = self._video_of(given)
        if video is None:
            return [None, None]
        with errors_on_page(video):
            frame = self._previews(request).frame(video, given[self.at])
        return [self._overlaid(given, request, layers), _canvas(frame, layers)]

    def _overlaid(self, given: Given, request: gr.Request, layers: Layers) -> Any:
        video = self._video_of(given)
        if video is None:
            return None
        with errors_on_page(video):
            return self._previews(request).overlay(
                video, given[self.at], layers, values_of(self._options, given)
            )

    def _previews(self, request: gr.Request) -> Previews:
        return self._visitors.session(request).previews


def layers_of(painting: dict[str, Any] | None) -> Layers:
    """The painted layers, RGBA uint8 [h,w,4], of the value of the paint widget."""
    layers = [] if painting is None else painting["layers"]
    # The editor gives an empty layer before anything is painted.
    return [layer for layer in layers if layer[..., 3].any()]


def _canvas(frame: np.ndarray, layers: Layers) -> dict[str, Any]:
    return {"background": frame, "layers": layers, "composite": None}
