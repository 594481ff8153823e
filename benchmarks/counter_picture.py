"""Draw the picture of docs/mask.md: a counter and a new subtitle over a real clip, and the new frame between.

From left to right: the frame before, a new frame without a mask, with the mask but as if it did not know what was
replaced, with the mask, and the frame after.
"""

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer

from benchmarks.pictures import clip_named, write_png
from distill.data.tensors import as_batch, as_picture
from distill.evaluate.footage import Footage
from distill.synthetic.overlays import Overlay, paste, text_drawing
from distill.synthetic.text import draw_text
from maskvfi.models.static import Masks, StaticMaskNet
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.weights.load import load_static

SIDE = 320  # px
ZOOM = 2
TIME = 0.5
COUNTS = ("00:41:58", "00:42:03")
WORDS = ("Nobody moves.", "Not even you?")


class Unknowing(StaticMaskNet):
    """A mask network that does not say what was replaced."""

    def classify_between(self, features: list) -> Masks:
        return Masks(super().classify_between(features).still, None)


def main(
    clips: Annotated[Path, typer.Option(help="A folder of clips.")],
    out: Annotated[Path, typer.Option(help="The PNG to write.")],
    name: Annotated[str, typer.Option(help="How the name of the clip begins.")] = "",
    mask: Annotated[str, typer.Option(help="Mask weights: a name or a path.")] = "static-s",
    vfi: Annotated[str, typer.Option(help="Interpolation weights: a name or a path.")] = "vfi-m",
    seed: int = 1,
) -> None:
    """Render the frames and write them side by side, in one row."""
    clip = clip_named(clips, name)
    run = Footage(clip, SIDE, np.random.default_rng(seed), textures=1, runs=4).runs[0]
    frames = paste(run[:2], [counter(), subtitle()]).frames
    knowing = load_static(mask)
    unknowing = Unknowing(knowing.config)
    unknowing.load_state_dict(knowing.state_dict())
    start, end = (as_batch([frame]) for frame in frames)
    made = []
    for network in (None, unknowing, knowing):
        interpolator = Interpolator(vfi, network, "cpu", "fp32", runtime="torch")
        with torch.inference_mode():
            made.append(as_picture(interpolator(start, end, TIME)))
    row = [crop(picture) for picture in (frames[0], *made, frames[1])]
    gap = np.full((row[0].shape[0], 6, 3), 255, np.uint8)
    parts = [part for picture in row for part in (picture, gap)][:-1]
    write_png(out, np.hstack(parts))


def counter() -> Overlay:
    """A clock whose digits stand in cells of one width."""
    drawings = []
    for text in COUNTS:
        cover = np.zeros((SIDE, SIDE), np.float32)
        for index, letter in enumerate(text):
            place = (SIDE / 2 + 14 * (index - len(text) / 2 + 0.5), 250.0)
            cover = np.maximum(cover, draw_text(SIDE, SIDE, letter, None, place, 24))
        drawings.append((np.full((SIDE, SIDE, 3), (90, 255, 250), np.float32), cover))
    return Overlay(tuple(drawings), (1.0, 1.0), ((0, 0), (0, 0)))


def subtitle() -> Overlay:
    """White text with a dark outline, and then another."""
    place = (SIDE / 2, 290.0)
    drawings = [text_drawing(SIDE, SIDE, text, None, place, 22, (250,) * 3, (10,) * 3, 2) for text in WORDS]
    return Overlay(tuple(drawings), (1.0, 1.0), ((0, 0), (0, 0)))


def crop(picture: np.ndarray) -> np.ndarray:
    """The part with the text, enlarged."""
    part = picture[228:308, 70:250]
    return cv2.resize(part, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_NEAREST)


if __name__ == "__main__":
    typer.run(main)
