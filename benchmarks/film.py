"""Make the film of the README: plain RIFE above, masked below, in slow motion.

The clip is a second of Big Buck Bunny (Blender Foundation, CC-BY 3.0) with a caption over it: the file
libraries/test_data/src/test/assets/media/mkv/bbb_1920x1080_60fps_vp8.webm of github.com/androidx/media. It is scaled,
and every fourth frame is kept; the others are made anew.

    python -m benchmarks.film CLIP docs/film.webp
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import av

import maskvfi

EVERY = 4  # frames of the clip from one that is kept to the next
RATE = 4  # of the kept frames in the film, per second
SIZE = (1280, 720)  # px, width and height of the scaled clip
CROP = (300, 480, 960, 240)  # px: left, top, width and height of what is shown of it


def cut(clip: Path, target: Path) -> None:
    """Write the frames that are kept, scaled, cropped and without loss."""
    left, top, width, height = CROP
    with av.open(str(clip)) as source, av.open(str(target), "w") as out:
        video = out.add_stream("ffv1", rate=RATE)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            if number % EVERY:
                continue
            scaled = frame.reformat(*SIZE, format="rgb24", interpolation="AREA").to_ndarray()
            rgb = scaled[top : top + height, left : left + width]
            out.mux(video.encode(av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="yuv420p")))
        out.mux(video.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path)
    parser.add_argument("film", type=Path, help="a .webp file, which must not exist")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder, "kept.mkv")
        cut(given.clip, kept)
        print(maskvfi.compare(kept, given.film, factor=EVERY))


if __name__ == "__main__":
    main()
