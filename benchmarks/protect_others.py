"""How much `maskvfi protect` improves what other programs make: ffmpeg's minterpolate, a cross-fade, and DIS flow.

"blend-x264" is the cross-fade after libx264 at CRF 28, as many programs write their result; the others are lossless.

A clip is read at its full rate and gets overlays: a score, a subtitle and a frame around a map. Every second frame goes
to the other program, which makes the rest; the frames left out say how good its frames are. Prints PSNR of the new
frames but the last, inside the overlays and elsewhere, and their ST-LPIPS, before and after `protect`.

    python -m benchmarks.protect_others CLIP --frames 13 --width 320 --stride 2
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

import maskvfi
from distill.evaluate.methods import dis
from distill.evaluate.psnr import psnr
from distill.evaluate.similarity import Similarity
from maskvfi.video import open_source
from maskvfi.video.planes import planes_to_rgb, to_tensors

METHODS = ("minterpolate", "blend", "blend-x264", "dis")


def read_rgb(path: Path | str) -> tuple[list[np.ndarray], list[Fraction]]:
    """All frames as RGB [H,W,3] in 8-bit code values, and their times."""
    frames, times = [], []
    with open_source(path) as reader:
        for frame in reader:
            rgb = planes_to_rgb(to_tensors(frame.planes, "cpu"), frame.format, reader.info.colour)[0]
            frames.append(rgb.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy())
            times.append(frame.pts)
    return frames, times


def write_rgb(path: Path, frames: Sequence[np.ndarray], rate: Fraction | int, sound: bool = False) -> None:
    """Write frames without loss, through ffmpeg."""
    height, width = frames[0].shape[:2]
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-y",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{width}x{height}",
    ]
    command += ["-r", str(rate), "-i", "-"]
    if sound:
        command += ["-f", "lavfi", "-i", f"sine=440:duration={float(len(frames) / Fraction(rate)):.3f}"]
    command += ["-pix_fmt", "yuv444p", "-c:v", "ffv1", "-c:a", "flac", str(path)]
    subprocess.run(command, input=b"".join(frame.tobytes() for frame in frames), check=True)


def draw_overlays(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frame with a score, a subtitle and a map's frame, and where these are, [H,W] bool."""
    height, width = frame.shape[:2]
    drawn, mark = frame.copy(), np.zeros((height, width), np.uint8)
    scale = height / 270
    thick = max(1, round(2 * scale))
    for image, colours in ((drawn, ((0, 0, 0), (255, 255, 255), (250, 220, 60))), (mark, (255, 255, 255))):
        for text, x, y, size in (("HOME 2 : 1", 0.04, 0.12, 0.7), ("Where did they go?", 0.22, 0.92, 0.8)):
            at = (round(x * width), round(y * height))
            for colour, extra in ((colours[0], 3), (colours[1], 0)):
                cv2.putText(
                    image, text, at, cv2.FONT_HERSHEY_DUPLEX, size * scale, colour, thick + extra, cv2.LINE_AA
                )
        first, last = (round(0.76 * width), round(0.07 * height)), (round(0.96 * width), round(0.36 * height))
        cv2.rectangle(image, first, last, colours[2], thick + 1)
    return drawn, mark > 0


def make_between(method: str, source: Path, target: Path, rate: Fraction) -> None:
    """Double the frame rate of a file with another method, keeping its sound."""
    if method == "minterpolate":
        how = ["-vf", f"minterpolate=fps={2 * rate}:mi_mode=mci:mc_mode=aobmc:me_mode=bidir:scd=none"]
        command = [
            "ffmpeg",
            "-v",
            "error",
            "-y",
            "-i",
            str(source),
            *how,
            "-c:v",
            "ffv1",
            "-c:a",
            "copy",
            str(target),
        ]
        subprocess.run(command, check=True)
        return
    frames, _ = read_rgb(source)
    made = [frames[0]]
    for a, b in itertools.pairwise(frames):
        made += [dis(a, b, 2)[0] if method == "dis" else cv2.addWeighted(a, 0.5, b, 0.5, 0), b]
    write_rgb(target, made, 2 * rate)
    with_sound = target.with_suffix(".sound.mkv")
    codec = ["libx264", "-crf", "28", "-pix_fmt", "yuv420p"] if method == "blend-x264" else ["copy"]
    copies = ["-map", "0:v", "-map", "1:a?", "-c:a", "copy", "-c:v", *codec, str(with_sound)]
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(target), "-i", str(source), *copies], check=True)
    with_sound.replace(target)


def measure(
    clip: Path | str, folder: Path, method: str, frames: int, width: int, stride: int = 1
) -> dict[str, tuple[float, float]]:
    """PSNR of new frames before and after `protect`, inside the overlays and elsewhere, and their ST-LPIPS.

    Args:
        clip: A moving video.
        folder: Where files are made.
        method: One of METHODS.
        frames: How many of its frames are taken.
        width: Their width in pixels.
        stride: Every so many frames one is taken, so that more moves.

    Returns:
        (before, after) in dB by place; of ST-LPIPS under its name.
    """
    whole = read_rgb_part(clip, frames, width, stride)
    drawn = [draw_overlays(frame) for frame in whole]
    truth, mark = [picture for picture, _ in drawn], drawn[0][1]
    source, made, out = (folder / f"{method}_{name}.mkv" for name in ("source", "made", "out"))
    write_rgb(source, truth[::2], 12, sound=True)
    make_between(method, source, made, Fraction(12))
    maskvfi.protect(source, made, out, codec="ffv1", overwrite=True, scene_cut="off", device="cpu")
    before, after = read_rgb(made)[0], read_rgb(out)[0]
    new = list(range(1, min(len(before), len(truth)) - 2, 2))
    places = {"overlays": mark, "elsewhere": ~cv2.dilate(mark.astype(np.uint8), np.ones((9, 9))).astype(bool)}
    runs = [[frames[k] for k in new] for frames in (truth, before, after)]
    seen = Similarity(("stlpips",))
    distances = [
        seen.measures([run[0], *run, run[-1]], [runs[0][0], *runs[0], runs[0][-1]]).get(
            "stlpips", float("nan")
        )
        for run in runs[1:]
    ]
    return {"ST-LPIPS": (distances[0], distances[1])} | {
        place: (
            psnr(np.stack([truth[k][where] for k in new]), np.stack([before[k][where] for k in new])),
            psnr(np.stack([truth[k][where] for k in new]), np.stack([after[k][where] for k in new])),
        )
        for place, where in places.items()
    }


def read_rgb_part(clip: Path | str, frames: int, width: int, stride: int = 1) -> list[np.ndarray]:
    """The first frames of a clip, or one of every `stride`, scaled."""
    pictures: list[np.ndarray] = []
    with open_source(clip) as reader:
        for number, frame in enumerate(reader):
            if len(pictures) == frames:
                break
            if number % stride:
                continue
            rgb = planes_to_rgb(to_tensors(frame.planes, "cpu"), frame.format, reader.info.colour)[0]
            picture = rgb.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
            height = round(width * picture.shape[0] / picture.shape[1] / 2) * 2
            pictures.append(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
    return pictures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", nargs="+")
    parser.add_argument("--frames", type=int, default=13)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--stride", type=int, default=2)
    arguments = parser.parse_args()
    print(
        "| clip | made by | overlays: before | after | elsewhere: before | after | ST-LPIPS: before | after |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for clip in arguments.clip:
            for method in METHODS:
                found = measure(
                    clip, Path(folder), method, arguments.frames, arguments.width, arguments.stride
                )
                distances = found.pop("ST-LPIPS")
                figures = " | ".join(f"{value:.2f}" for place in found.values() for value in place)
                figures += " | " + " | ".join(f"{value:.4f}" for value in distances)
                print(f"| {Path(clip).stem} | {method} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
