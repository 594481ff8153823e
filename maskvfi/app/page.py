"""What the page looks like, and what happens on it."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from maskvfi import MediaError, Report, WeightsError, hub
from maskvfi.app.session import PROTECT, RELEASE, Cancelled, Session
from maskvfi.synthesis.compose import FEATHER
from maskvfi.video import open_source

STYLE = """
.gradio-container { max-width: 1240px !important; width: 100% !important; margin: auto; }
#overlay .image-frame { width: 100%; }
#overlay img, #both img { width: 100%; max-height: 75vh; object-fit: contain !important; }
#head p { color: var(--body-text-color-subdued); margin-top: 0; }
"""
LAYERS = gr.LayerOptions(allow_additional_layers=False, layers=["paint"], disabled=True)
BRUSH = gr.Brush(default_size=24, colors=[f"rgb{PROTECT}", f"rgb{RELEASE}"], color_mode="fixed")

Painting = dict[str, Any] | None


def build_page(root: Path) -> tuple[gr.Blocks, Callable[[], None]]:
    """The page, whose files lie in `root`, and what ends everyone's work on it."""
    sessions: dict[str, Session] = {}

    def session(request: gr.Request) -> Session:
        return sessions.setdefault(str(request.session_hash), Session(root))

    def leave(request: gr.Request) -> None:
        if left := sessions.pop(str(request.session_hash), None):
            left.close()

    def close() -> None:
        for left in sessions.values():
            left.cancel()
        for left in sessions.values():
            left.close()

    def open_video(
        video: str | None, mask: str, threshold: float, feather: float, request: gr.Request
    ) -> list[Any]:
        if video is None:
            off = gr.update(interactive=False)
            return ["", gr.update(value=0, interactive=False), None, None, None, off, off]
        with told(video):
            with open_source(video) as reader:
                info = reader.info
            length = float(info.duration or (info.frames_estimate or 0) / info.rate)
            at = round(length / 2, 2)
            facts = f"{info.width}×{info.height}, {float(info.rate):.5g} frames per second, {length:.1f} s"
            shown = session(request).overlay(video, at, mask, threshold, feather, [])
            position = gr.update(value=at, maximum=max(length, 0.01), interactive=True)
            on = gr.update(interactive=True)
            frame = session(request).frame(video, at)
            return [
                facts,
                position,
                shown,
                {"background": frame, "layers": [], "composite": None},
                None,
                on,
                on,
            ]

    def look(
        video: str | None,
        at: float,
        mask: str,
        threshold: float,
        feather: float,
        painting: Painting,
        request: gr.Request,
    ) -> Any:
        if video is None:
            return None
        with told(video):
            return session(request).overlay(video, at, mask, threshold, feather, layers_of(painting))

    def move(
        video: str | None,
        at: float,
        mask: str,
        threshold: float,
        feather: float,
        painting: Painting,
        request: gr.Request,
    ) -> list[Any]:
        if video is None:
            return [None, None]
        with told(video):
            frame = session(request).frame(video, at)
            kept: dict[str, Any] = {"background": frame, "layers": layers_of(painting), "composite": None}
            return [session(request).overlay(video, at, mask, threshold, feather, kept["layers"]), kept]

    def compare(
        video: str,
        at: float,
        vfi: str,
        mask: str,
        threshold: float,
        feather: float,
        painting: Painting,
        request: gr.Request,
    ) -> Any:
        with told(video):
            return session(request).compare(video, at, vfi, mask, threshold, feather, layers_of(painting))

    def prepare(request: gr.Request) -> list[Any]:
        session(request).prepare()
        return ["", gr.update(interactive=False), gr.update(visible=True), gr.update(visible=False)]

    def run(
        video: str,
        at: float,
        factor: int,
        fps: str,
        vfi: str,
        mask: str,
        threshold: float,
        feather: float,
        codec: str,
        crf: int,
        painting: Painting,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list[Any]:
        with told(video):
            try:
                report = session(request).run(
                    video,
                    at,
                    layers_of(painting),
                    lambda done, total: progress((done, total), unit="frames"),
                    vfi=vfi,
                    mask=mask,
                    threshold=threshold,
                    feather=feather,
                    codec=codec,
                    crf=crf,
                    **({"fps": fps.strip()} if fps.strip() else {"factor": int(factor)}),
                )
            except Cancelled:
                return ["Cancelled; nothing was written.", gr.update(visible=False)]
        return [summary(report), gr.update(value=report.output, visible=True)]

    def cancel(request: gr.Request) -> str:
        session(request).cancel()
        return "Stopping …"

    def restore() -> list[Any]:
        return [gr.update(interactive=True), gr.update(visible=False)]

    names = {
        kind: [file.name for file in hub.list_weights() if file.kind == kind] for kind in ("vfi", "static")
    }
    with gr.Blocks(title="maskvfi", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.Markdown(
            "# maskvfi\nRaises a video's frame rate and leaves alone what stands still: HUD, subtitles, logos.",
            elem_id="head",
        )
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                video = gr.File(label="Video", elem_id="video", height=120)
                facts = gr.Markdown(elem_id="facts")
                with gr.Group():
                    factor = gr.Slider(2, 8, 2, step=1, label="Times as many frames")
                    fps = gr.Textbox(
                        label="Or frames per second",
                        placeholder="60 or 60000/1001",
                        elem_id="fps",
                        max_lines=1,
                    )
                with gr.Accordion("Networks and encoder", open=False):
                    vfi = gr.Dropdown(names["vfi"], value=hub.DEFAULT_VFI, label="Interpolation weights")
                    mask = gr.Dropdown(names["static"], value=hub.DEFAULT_STATIC, label="Mask weights")
                    codec = gr.Dropdown(
                        [("H.264", "libx264"), ("H.265", "libx265")], value="libx264", label="Codec"
                    )
                    crf = gr.Slider(
                        0,
                        51,
                        18,
                        step=1,
                        label="CRF",
                        info="Lower is better and larger; 18 looks like the source.",
                    )
                start = gr.Button("Interpolate", variant="primary", interactive=False, elem_id="run")
                stop = gr.Button("Cancel", variant="stop", visible=False, elem_id="cancel")
                status = gr.Textbox(label="Result", interactive=False, lines=2, elem_id="status")
                download = gr.DownloadButton("Download", visible=False, elem_id="download")
            with gr.Column(scale=5, min_width=320):
                with gr.Tabs():
                    with gr.Tab("What stands still") as still:
                        gr.Markdown("Green is copied, the rest is interpolated.")
                        overlay = gr.Image(
                            show_label=False,
                            interactive=False,
                            buttons=["fullscreen"],
                            elem_id="overlay",
                        )
                    with gr.Tab("Paint"):
                        gr.Markdown("Blue is always copied, red is always interpolated, in the whole video.")
                        painting = gr.ImageEditor(
                            show_label=False,
                            height="min(480px, 62vw)",
                            format="png",
                            sources=(),
                            transforms=(),
                            brush=BRUSH,
                            layers=LAYERS,
                            buttons=["fullscreen"],
                            elem_id="painting",
                        )
                    with gr.Tab("Compare"):
                        gr.Markdown("A new frame, made by plain RIFE (left) and with the mask (right).")
                        both = gr.ImageSlider(
                            show_label=False,
                            interactive=False,
                            buttons=["fullscreen"],
                            elem_id="both",
                        )
                        pair = gr.Button("Compare at this position", interactive=False, elem_id="compare")
                with gr.Row():
                    at = gr.Slider(0, 1, 0, step=0.01, label="Position, s", interactive=False, elem_id="at")
                    threshold = gr.Slider(
                        0.05,
                        0.95,
                        0.5,
                        step=0.05,
                        label="Threshold",
                        info="How sure the mask must be before a pixel is copied.",
                        elem_id="threshold",
                    )
                    feather = gr.Slider(
                        0,
                        0.5,
                        FEATHER,
                        step=0.05,
                        label="Feather",
                        info="How far around it copied and interpolated are mixed.",
                        elem_id="feather",
                    )

        seen = [video, at, mask, threshold, feather, painting]
        quick: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
        video.change(
            open_video, [video, mask, threshold, feather], [facts, at, overlay, painting, both, start, pair]
        )
        at.input(move, seen, [overlay, painting], **quick)
        for changed in (threshold.input, feather.input, mask.input, painting.input, still.select):
            changed(look, seen, overlay, **quick)
        pair.click(compare, [video, at, vfi, mask, threshold, feather, painting], both)
        begun = start.click(prepare, None, [status, start, stop, download], queue=False)
        done = begun.then(
            run,
            [video, at, factor, fps, vfi, mask, threshold, feather, codec, crf, painting],
            [status, download],
            show_progress_on=status,
            concurrency_limit=1,
        )
        done.success(restore, None, [start, stop], queue=False)
        done.failure(restore, None, [start, stop], queue=False)
        stop.click(cancel, None, status, queue=False, show_progress="hidden")
        page.unload(leave)
    return page.queue(api_open=False), close


@contextmanager
def told(video: str) -> Iterator[None]:
    """What is wrong with a video or a setting becomes one line on the page."""
    try:
        yield
    except (MediaError, WeightsError, ValueError, OSError) as error:
        line = " ".join(str(error).replace(f"{Path(video).parent}/", "").split())
        raise gr.Error(html.escape(line), duration=None, print_exception=False) from None


def layers_of(painting: Painting) -> Sequence[np.ndarray]:
    return [] if painting is None else painting["layers"]


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
