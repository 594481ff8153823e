"""How many frames per second come out of mpv, built with VapourSynth, while maskvfi doubles the frame rate.

    VSSCRIPT_PATH=$(vapoursynth get-vsscript) python -m benchmarks.mpv_speed CLIP

The first frames of a clip are scaled to several sizes and played as fast as they come, without a picture or sound, from
the start of mpv to its end. The Python of VapourSynth needs maskvfi, too.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

SIZES = ((320, 180), (640, 360), (1280, 720))
MASKS = {"with the mask": '"static-s"', "`mask=None`": "None"}
SCRIPT = """
import vapoursynth as vs
from maskvfi.integrations.vapoursynth import interpolate

clip = video_in.resize.Bicubic(format=vs.RGBS, matrix_in_s="709")
clip = interpolate(clip, factor_num=2, vfi="vfi-s", mask={mask})
clip.resize.Bicubic(format=vs.YUV420P8, matrix_s="709").set_output()
"""


def frames_per_second(clip: Path, frames: int, mask: str) -> float:
    """Frames that mpv shows of a clip of that many frames, over the seconds that it runs."""
    script = clip.with_suffix(".vpy")
    script.write_text(SCRIPT.format(mask=mask))
    silent = ["--no-config", "--no-audio", "--untimed", "--vo=null", "--really-quiet"]
    began = time.perf_counter()
    subprocess.run(["mpv", *silent, f"--vf=vapoursynth={script}:4:2", str(clip)], check=True)
    return (2 * frames - 1) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, default=100, help="the clip must have as many")
    arguments = parser.parse_args()
    print(f"| size | {' | '.join(MASKS)} |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for width, height in SIZES:
            scaled = Path(folder) / f"{height}.mp4"
            how = ["-vf", f"scale={width}:{height}", "-frames:v", str(arguments.frames), "-an"]
            subprocess.run(
                ["ffmpeg", "-v", "error", "-i", str(arguments.clip), *how, str(scaled)], check=True
            )
            cells = [f"{frames_per_second(scaled, arguments.frames, mask):.1f}" for mask in MASKS.values()]
            print(f"| {width}x{height} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
