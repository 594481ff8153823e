"""Interpolate every clip of a folder with a lossless encoder and check counts, times, streams and source frames.

python -m benchmarks.check_clips CLIPS [--seconds 0.5] [--plain]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

import maskvfi
from maskvfi.paths import VIDEO_SUFFIXES
from maskvfi.video import open_source


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--seconds", type=float, help="only the beginning of every clip")
    parser.add_argument("--plain", action="store_true", help="no mask, coarse flow: faster")
    options = parser.parse_args()
    failures = 0
    for clip in sorted(path for path in options.clips.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES):
        with tempfile.TemporaryDirectory() as folder:
            problems = check(clip, Path(folder) / "out.mkv", options.seconds, options.plain)
        failures += bool(problems)
        print(f"{clip.name}: {'; '.join(problems) or 'ok'}", flush=True)
    return min(failures, 1)


def check(clip: Path, target: Path, seconds: float | None, plain: bool) -> list[str]:
    """Interpolate a clip and check the result. Returns a line for every problem."""
    report = maskvfi.interpolate(
        clip,
        target,
        end=seconds,
        codec="ffv1",
        mask=None if plain else "static-s",
        scale=0.25 if plain else 1.0,
    )
    problems = [*report.warnings]
    with (
        open_source(clip, end=None if seconds is None else Fraction(str(seconds))) as before,
        open_source(target) as after,
    ):
        results = iter(after)
        offset, count, ends = None, 0, []
        for source in before:
            result = next(results, None)
            if result is None:
                return [*problems, f"ends after {count} source frames"]
            same = source.format == result.format and all(map(np.array_equal, source.planes, result.planes))
            if not same:
                problems.append(f"source frame {count} is not bit-identical")
            offset = source.pts - result.pts if offset is None else offset
            if abs(source.pts - result.pts - offset) > Fraction(1, 1000):
                problems.append(
                    f"source frame {count} is at {float(result.pts)} s, not {float(source.pts - offset)} s"
                )
            count += 1
            ends.append(result.pts)
            between = next(results, None)
            if between is not None:
                ends.append(between.pts)
        if any(b <= a for a, b in pairwise(ends)):
            problems.append("times do not grow")
        if (report.frames_in, report.frames_out, len(ends)) != (count, 2 * count - 1, 2 * count - 1):
            problems.append(
                f"{report.frames_in} in, {report.frames_out} out, {len(ends)} read back, of {count}"
            )
    if streams(clip) != streams(target):
        problems.append(f"streams {streams(clip)} became {streams(target)}")
    if not problems:
        print(f"  {count} frames became {2 * count - 1}, {report.static_share:.0%} still, {report.cuts} cuts")
    return problems


def streams(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [stream.type for stream in container.streams]


if __name__ == "__main__":
    sys.exit(main())
