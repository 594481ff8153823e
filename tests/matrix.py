"""What every kind of output keeps of every kind of input: `python tests/matrix.py` prints docs/formats.md anew."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import av
from clips import make_clip

import maskvfi
from maskvfi.video import open_source
from maskvfi.video.hdr import HdrMetadata

PAGE = Path(__file__).parents[1] / "docs" / "formats.md"
KINDS = ("mp4", "mov", "mkv", "webm", "ts", "avi", "gif", "png", "y4m")
PQ = 16  # the transfer function of HDR10, by ITU-T H.273
# How a warning names what is not kept.
NAMED = {
    "sound": r"audio|sound",
    "subtitles": r"subtitle",
    "chapters": r"chapter",
    "rotation": r"rotation",
    "alpha": r"alpha|palette",
    "HDR": r"transfer function",
    "mastering data": r"HDR10",
}
HEAD = """# Formats

What `maskvfi interpolate` loses of an input of each kind in an output of each kind, with default options. A warning
names every loss. An .mkv loses nothing but alpha, and with `--codec ffv1` it keeps alpha too. HDR is a matter
of the encoder ([colour](colour.md)). `python tests/matrix.py`
makes the inputs, tries all pairs and writes this page, and a test compares it with what it finds. GIF, APNG
and animated WebP keep how often they play. Sound that a container does not hold is encoded again; a warning says so.

What the inputs have:

"""
TABLE = """
Rows are inputs, columns are outputs; `-` means that nothing is lost.

"""


def make_inputs(folder: Path) -> dict[str, Path]:
    """A small input of every kind, with whatever the kind can have."""
    base = {"times": 5, "chapters": [(0, 100, "One"), (100, 200, "Two")], "subtitles": [(0, 150, "Hello")]}
    hdr = {
        "codec": "libx265",
        "pix_fmt": "yuv420p10le",
        "colour": (9, 1, 9, PQ),
        "options": {
            "preset": "ultrafast",
            "x265-params": "log-level=none:max-cll=1000,400:"
            "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)",
        },
    }
    lossless = {"codec": "ffv1", "options": {}}
    alpha = lossless | {"pix_fmt": "yuva420p"}
    film = make_clip(folder / "hdr.mkv", audio="aac", **base, **hdr)
    prores = make_clip(
        folder / "prores.mkv", audio="flac", codec="prores_ks", pix_fmt="yuva444p10le", options={}, **base
    )
    plain = make_clip(folder / "plain.mkv", times=5, audio="aac", **lossless)
    clear = make_clip(folder / "clear.mkv", times=5, **alpha)
    turned = ("-metadata:s:v", "rotate=90", "-c:s", "mov_text")
    film_alpha = make_clip(folder / "in.mkv", audio="flac", **base, **alpha | {"colour": (9, 1, 9, PQ)})
    made = {
        "mp4": _convert(film, folder / "in.mp4", *turned, "-c:v", "copy", "-c:a", "copy"),
        "mov": _convert(prores, folder / "in.mov", *turned, "-c:v", "copy", "-c:a", "pcm_s16le"),
        "mkv": film_alpha,
        "webm": _convert(film_alpha, folder / "in.webm", "-c:v", "libvpx-vp9", "-c:a", "libopus"),
        "ts": make_clip(folder / "in.ts", times=5, audio="aac", **hdr),
        "avi": _convert(plain, folder / "in.avi", "-c:v", "mjpeg", "-c:a", "mp3"),
        "gif": _convert(clear, folder / "in.gif"),
        "y4m": _convert(plain, folder / "in.y4m", "-an"),
        "png": folder / "in",
    }
    made["png"].mkdir()
    _convert(clear, folder / "in" / "%03d.png")
    return made


def traits_of(path: Path) -> list[str]:
    """Which of the things in NAMED an input or output has, read from the file itself."""
    with open_source(path) as reader:
        info = reader.info
        transparent = info.format.alpha or any("alpha" in line for line in reader.warnings)
    has = {
        # The inputs that are turned lie on their side: upright pixels are high.
        "rotation": info.display_matrix is not None or info.height > info.width,
        "alpha": transparent,
        "HDR": info.colour.transfer == PQ,
        "mastering data": info.hdr != HdrMetadata(),
    }
    if path.is_file():
        with av.open(str(path)) as container:
            counts = {"audio": 0, "subtitle": 0}
            for packet in container.demux():
                if packet.size and packet.stream.type in counts:
                    counts[packet.stream.type] += 1
            has |= {"sound": counts["audio"] > 0, "subtitles": counts["subtitle"] > 0}
            has["chapters"] = bool(container.chapters())
    return [name for name in NAMED if has.get(name)]


def not_kept(source: Path, target: Path) -> tuple[list[str], list[str]]:
    """Convert; returns what is not kept but named, and what is lost in silence."""
    try:
        done = maskvfi.interpolate(source, target, vfi="blend", mask="off", device="cpu")
    except maskvfi.MaskvfiError:
        return ["refused"], []
    kept = traits_of(target)
    lost = [name for name in traits_of(source) if name not in kept]
    named = [name for name in lost if any(re.search(NAMED[name], line) for line in done.warnings)]
    return named, [name for name in lost if name not in named]


def page(folder: Path) -> tuple[str, list[str]]:
    """The page, and a line for everything that is lost in silence."""
    inputs = make_inputs(folder)
    rows, silent = [["from / to", *KINDS]], []
    has = [
        ["kind", "has"],
        *([kind, ", ".join(traits_of(inputs[kind])) or "pictures only"] for kind in KINDS),
    ]
    for kind in KINDS:
        row = [kind]
        for other in KINDS:
            target = folder / f"{kind}_to_{other}" if other == "png" else folder / f"{kind}.to.{other}"
            named, lost = not_kept(inputs[kind], target)
            silent += [f"{kind} to {other}: {name}" for name in lost]
            row.append(", ".join(named) or "-")
        rows.append(row)
    return HEAD + _table(has) + TABLE + _table(rows), silent


def _table(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"


def _convert(source: Path, target: Path, *options: str) -> Path:
    command = ["ffmpeg", "-v", "error", "-i", source, *options, target]
    subprocess.run(command, check=True)
    return target


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        text, silent = page(Path(scratch))
    PAGE.write_text(text, encoding="utf-8")
    print(text, *silent, sep="\n")
    sys.exit(bool(silent))
