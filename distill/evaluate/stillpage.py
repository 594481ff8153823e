"""The still-things benchmark as one self-contained HTML page: tables, and pictures of a case of each kind."""

from __future__ import annotations

from html import escape
from pathlib import Path

import cv2
import numpy as np

from distill.arrays import Bools
from distill.evaluate.markup import inline, section, table, whole_page
from distill.evaluate.psnr import psnr
from distill.evaluate.regions import RING, regions_of
from distill.evaluate.stillbench import REGIONS, StillBench, StillExample, still_rows
from maskvfi.paths import written_whole

KIND_TEXT = {
    "hud": "Overlays stand still over what moves.",
    "glass": "They are half-transparent: what moves shows through them.",
    "fade": "Their opacity changes evenly.",
    "codec": "The given frames went through H.264 or HEVC.",
    "noise": "The given frames are noisy; the truth is not.",
    "replaced": "Digits, subtitles or pages change in place, before the middle or after it: both are right.",
    "wall": "A still camera, before which things move.",
}
WINDOW = 112  # px of a picture that are shown, enlarged
EDGE = (255, 210, 0)


def write_page(bench: StillBench, clips: str, out: Path, overwrite: bool = False) -> None:
    """Write the page; it appears when it is whole.

    Args:
        bench: What was measured.
        clips: The name of the folder of clips.
        out: The HTML file.
        overwrite: Replace a file that exists.

    Raises:
        MediaError: It exists or cannot be written.
    """
    with written_whole(out, overwrite=overwrite) as partial:
        partial.write_text(still_page(bench, clips), encoding="utf-8")


def still_page(bench: StillBench, clips: str) -> str:
    """The page as HTML."""
    lead = (
        f"{sum(bench.cases.values())} composites over the clips of <b>{escape(clips)}</b>, of which it is known what "
        "stands still and what lies between the frames. Two frames are made in each."
    )
    tables = [
        section(
            title,
            _explained() if number == 0 else "",
            table([(header, "left" if header == "method" else "right") for header in headers], rows),
        )
        for number, (title, headers, rows) in enumerate(still_rows(bench))
    ]
    pictures = section(
        "Pictures",
        f"A new frame of one case of each kind, the {WINDOW} px around the rim that most methods get wrong. The "
        "yellow line is that rim; below the picture is PSNR inside, in the ring and elsewhere.",
        *(_example(example) for example in bench.examples),
    )
    gone = "".join(f"<p>not measured: {escape(name)}</p>" for name in bench.missing)
    return whole_page("Still things", lead, [_verdict(bench), *tables, pictures, gone])


def _explained() -> str:
    return (
        f"<i>inside</i> is what stands still (or is replaced in place), <i>ring</i> the {RING} px around it, "
        "<i>elsewhere</i> all other pixels; <i>together</i> is the mean of the three. ST-LPIPS is a perceptual "
        "distance, flicker the mean error of the steps from frame to frame inside: less is better."
    )


def _verdict(bench: StillBench) -> str:
    """Where the first method is ahead of all others, and where it is not."""
    first, *others = bench.methods
    lines = []
    for region in ("together", *REGIONS):
        found = {
            method: bench.together(method) if region == "together" else bench.mean(method, "psnr", region)
            for method in bench.methods
        }
        best = max(others, key=lambda method: found[method], default=first)
        ahead = found[first] - found[best]
        lines.append(
            f"<div><b>{ahead:+.2f} dB</b><span>{region}: {escape(first)} against {escape(best)}, "
            f"the best of the others</span></div>"
        )
    return f"<div class='tiles'>{''.join(lines)}</div>{_behind(bench)}"


def _behind(bench: StillBench) -> str:
    """The kinds in which another method is ahead of the first one, by the mean of the regions."""
    first, *others = bench.methods
    lines = []
    for kind, count in bench.cases.items():
        found = {method: bench.together(method, kind) for method in bench.methods if count}
        better = [method for method in others if found and found[method] > found[first]]
        named = (
            f"{escape(method)} by {found[method] - found[first]:.2f} dB"
            for method in sorted(better, key=lambda method: -found[method])
        )
        if better:
            lines.append(f"<li><b>{kind}</b>: {', '.join(named)}</li>")
    listed = "".join(lines) or "<li>nowhere</li>"
    return f"<p>Where others are ahead of {escape(first)}, by kind:</p><ul>{listed}</ul>"


def _example(example: StillExample) -> str:
    case, rows, regions = example.case, _window(example), regions_of(example.case.inside)
    truth = case.truths[0][case.counted[-1]]
    edged = truth.copy()
    edged[_rim(case.inside)] = EDGE
    pictures = [("truth", truth, escape(case.clip)), ("what stands still", edged, "")]
    for name, frame in example.made.items():
        nearest = example.truths[name]
        scores = (f"{psnr(frame, nearest, where):.1f}" for where in regions.values() if where.any())
        pictures.append((name, frame, " / ".join(scores)))
    cells = "".join(
        f"<figure><img alt='{escape(name)}' src='{inline(picture[rows], '.jpg')}'>"
        f"<figcaption>{escape(name)}<br>{about}</figcaption></figure>"
        for name, picture, about in pictures
    )
    return f"<h3>{case.kind}</h3><p>{KIND_TEXT[case.kind]}</p><div class='strip close'>{cells}</div>"


def _window(example: StillExample) -> tuple[slice, slice]:
    """The square of WINDOW px in which the methods are most wrong inside and in the ring."""
    inside = example.case.inside
    errors = [
        cv2.absdiff(frame, example.truths[name]).mean(axis=2, dtype=np.float32)
        for name, frame in example.made.items()
    ]
    wrong = np.mean(errors, axis=0) * (regions_of(inside)["ring"] | inside)
    summed = cv2.boxFilter(wrong, -1, (WINDOW, WINDOW), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    height, width = (side - WINDOW + 1 for side in wrong.shape)
    y, x = np.unravel_index(int(summed[:height, :width].argmax()), (height, width))
    return slice(int(y), int(y) + WINDOW), slice(int(x), int(x) + WINDOW)


def _rim(inside: Bools) -> Bools:
    """The pixels of a mask [H,W] that touch what is outside of it."""
    rim: Bools = inside & (cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    return rim
