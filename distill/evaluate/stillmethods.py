"""Methods of the still-things benchmark: networks and masks of this project, baselines, and any other program."""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from distill.arrays import Image
from distill.data.layouts import PICTURE_SUFFIXES
from distill.evaluate.judges import Judge, unchanged_judge
from distill.evaluate.methods import Method, blend, find_minterpolate, network
from distill.evaluate.stillcases import StillCase
from maskvfi.errors import WeightsError
from maskvfi.synthesis.interpolator import Interpolator

Maker = Callable[[StillCase], list[Image]]  # the frames in the middles of the gaps
LOCK = 8.0  # code values by which a pixel may change in three frames and still count as a HUD
OFFICIAL = "rife-4.0"
PLACES = re.compile(r"\{(in|out)(\.[a-z0-9]+)?\}")
RATE = 25  # frames per second of the files that a command gets


def all_makers(
    vfi: str, mask: str, masks: Sequence[str] = (), commands: Sequence[str] = ()
) -> tuple[dict[str, Maker], list[str]]:
    """What is measured side by side.

    Args:
        vfi, mask: Weights of this project's method: names or paths.
        masks: More mask weights over the same network.
        commands: Other programs, each "NAME=COMMAND" with a command as `command_maker` takes it.

    Returns:
        The methods by name, this project's first; and what is missing, each with what it needs.

    Raises:
        WeightsError: The weights are missing or damaged.
        ValueError: A command is not of that form.
    """
    plain, missing = Interpolator(vfi, None, precision="fp32"), []
    warped = _remembered(of_pairs(network(plain)))
    named = Path(vfi).name
    makers: dict[str, Maker] = {}
    for each in dict.fromkeys((mask, *masks)):
        makers[f"{named} + {each}"] = of_pairs(network(Interpolator(plain.vfi, each, precision="fp32")))
    makers[f"{named}, no mask"] = warped
    try:
        makers[OFFICIAL] = of_pairs(network(Interpolator(OFFICIAL, None, precision="fp32")))
    except WeightsError as error:
        missing.append(str(error))
    makers["HUD lock"] = lock(warped, unchanged_judge(), LOCK)
    makers["painted mask"] = lambda case: of_pairs(network(_painted(plain, case)))(case)
    found, gone = find_minterpolate()
    makers |= {name: of_pairs(method) for name, method in found.items()}
    missing += gone
    makers["blend"] = of_pairs(blend)
    for given in commands:
        name, sign, command = given.partition("=")
        if not sign or not name:
            raise ValueError(f"--method takes NAME=COMMAND, not {given!r}")
        if name in makers:
            raise ValueError(f"--method {name}: there is a method of this name already")
        makers[name] = command_maker(command)
    return makers, missing


def of_pairs(method: Method) -> Maker:
    """A method that sees the two ends of a gap."""
    return lambda case: [method(start, end, 2)[0] for start, end in pairwise(case.given)]


def lock(below: Maker, judge: Judge, limit: float) -> Maker:
    """What live tools do: pixels that hardly changed are a cross-fade of the source's, all others interpolated.

    Args:
        below: Makes the frames under the locked pixels.
        judge: Says how much pixels changed.
        limit: Code values by which a locked pixel may have changed.
    """

    def make(case: StillCase) -> list[Image]:
        locked = judge.scores(case.given) >= -limit
        mixed = of_pairs(blend)(case)
        return [
            np.where(still[..., None], source, frame)
            for still, source, frame in zip(locked, mixed, below(case), strict=True)
        ]

    return make


def command_maker(command: str) -> Maker:
    """Any program as a method. It is started once for every case.

    Args:
        command: Words of a command line, without a shell. In it stands {in} for a folder of pictures 000000.png ...,
            {in.mkv} for a video without loss, or {in.y4m} for one that rounds colours; and {out} for a folder to fill,
            or {out.mkv}, {out.mp4} ... for a video to write. Of N frames it makes 2N-1 or 2N, of which every other one
            is a source frame.

    Raises:
        ValueError: The command has no such places; later, it fails, or makes another number of frames.
    """
    if sorted({place for place, _ in PLACES.findall(command)}) != ["in", "out"]:
        raise ValueError(f"{command!r}: needs {{in}} and {{out}}, or {{in.mkv}} and {{out.mkv}}")
    return lambda case: _middles(command, case.given)


def _middles(command: str, given: list[Image]) -> list[Image]:
    """Run a command of `command_maker` on frames; returns those that it made between them."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {place: Path(folder, place + suffix) for place, suffix in PLACES.findall(command)}
        write_frames(paths["in"], given)
        if not paths["out"].suffix:
            paths["out"].mkdir()
        words = [PLACES.sub(lambda place: str(paths[place[1]]), word) for word in shlex.split(command)]
        done = subprocess.run(words, capture_output=True, text=True, errors="replace")
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise ValueError(f"{words[0]} ended with code {done.returncode}: {said[-1]}")
        frames = _read(paths["out"])
    wanted = 2 * len(given) - 1
    if len(frames) not in (wanted, wanted + 1):
        raise ValueError(
            f"{words[0]} made {len(frames)} frames of {len(given)}, not {wanted} or {wanted + 1}"
        )
    for frame in frames:
        if frame.shape != given[0].shape:
            sizes = [f"{shape[1]}x{shape[0]}" for shape in (frame.shape, given[0].shape)]
            raise ValueError(f"{words[0]} made a frame of {sizes[0]} of frames of {sizes[1]}")
    return frames[1:wanted:2]


def write_frames(path: Path, frames: list[Image]) -> None:
    """Frames as a folder of pictures, or as a video: FFV1 in RGB without loss, or y4m in 4:4:4, which rounds."""
    if not path.suffix:
        path.mkdir()
        for number, frame in enumerate(frames):
            cv2.imwrite(str(path / f"{number:06d}.png"), frame[..., ::-1])
        return
    codec, kind = ("wrapped_avframe", "yuv444p") if path.suffix == ".y4m" else ("ffv1", "bgr0")
    with av.open(str(path), "w", format="yuv4mpegpipe" if path.suffix == ".y4m" else None) as container:
        stream = container.add_stream(codec, rate=RATE)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = kind
        for frame in frames:
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=kind))
            )
        container.mux(stream.encode(None))


def _read(path: Path) -> list[Image]:
    """The frames of a folder of pictures or of a video."""
    if path.is_dir():
        found = sorted(each for each in path.iterdir() if each.suffix.lower() in PICTURE_SUFFIXES)
        pictures = [cv2.imread(str(each), cv2.IMREAD_COLOR) for each in found]
        return [np.ascontiguousarray(picture[..., ::-1]) for picture in pictures if picture is not None]
    if not path.is_file():
        return []
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def _painted(plain: Interpolator, case: StillCase) -> Interpolator:
    """The same network under the mask that a careful person would paint: the truth."""
    return Interpolator(plain.vfi, None, precision="fp32", protect=torch.from_numpy(case.inside).float())


def _remembered(maker: Maker) -> Maker:
    """A maker that makes the frames of one case once, for those that build on them."""
    last: list[tuple[StillCase, list[Image]]] = []

    def make(case: StillCase) -> list[Image]:
        if not last or last[0][0] is not case:
            last[:] = [(case, maker(case))]
        return last[0][1]

    return make
