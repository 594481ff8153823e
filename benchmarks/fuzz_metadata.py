"""Give pictures random metadata, damage some, and use them: each use must succeed, or fail in one line without a file.

python -m benchmarks.fuzz_metadata --cases 2000 [--seed 0] [--keep FOLDER]
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import av
import cv2
import numpy as np
import typer

from benchmarks.fuzzing import Case, count_ends, damaged, print_ends, serve

DAMAGED = 0.4  # the share of pictures that are damaged
DIFFERENT = 0.3  # the share of cases whose second picture has other metadata and pixels
USES = ("video", "images", "pair.png", "pair.jpg", "mask", "compare.png")
XMP = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description tiff:Orientation="6"/></rdf:RDF>'
    b'</x:xmpmeta><?xpacket end="w"?>'
)


def main(
    cases: Annotated[int, typer.Option(help="How many files.")] = 2000,
    seed: Annotated[int, typer.Option(help="Equal seeds make equal files.")] = 0,
    keep: Annotated[Path | None, typer.Option(help="Where files that went wrong are kept.")] = None,
    child: Annotated[bool, typer.Option("--child", hidden=True)] = False,
) -> None:
    """Count how the cases end; exit code 1 if any ends badly."""
    if child:
        serve(_use)
        return
    print_ends("picture", count_ends(__file__, list(MAKERS), _draw, cases, seed, keep))


def _draw(name: str, rng: np.random.Generator, work: Path) -> Case:
    (work / "in").mkdir()
    data = MAKERS[name](rng)
    for n in range(2):
        if n and rng.random() < DIFFERENT:
            data = MAKERS[name](rng)
        data = damaged(data, rng) if rng.random() < DAMAGED else data
        (work / "in" / f"{n}.{name}").write_bytes(data)
    source, use = work / "in", str(rng.choice(USES))
    if "." in name:  # a video of such pictures
        source, use = work / "in" / f"0.{name}", "video"
    return Case((str(source), str(work), use), work / "in", use)


def _use(source: str, work: str, use: str) -> None:
    """Use a folder with two pictures, or a video. `work` is where the result goes."""
    import maskvfi

    plain: dict[str, Any] = {"vfi": "blend", "mask": None, "device": "cpu"}
    target = Path(work)
    if use == "video":
        maskvfi.interpolate(source, target / "out.mkv", codec="ffv1", **plain)
    elif use == "images":
        maskvfi.interpolate(source, target / "out", **plain)
    elif use.startswith("pair"):
        first, second = sorted(Path(source).iterdir())
        maskvfi.pair(first, second, target / f"out{Path(use).suffix}", **plain)
    else:
        paint = target / "in" / ".paint.png"
        cv2.imwrite(str(paint), np.full((SIZE[1], SIZE[0]), 255, np.uint8))
        plain |= {"protect": paint}
        if use == "mask":
            maskvfi.mask_video(source, target / "out.avi", mask=None, device="cpu", protect=paint)
        else:
            maskvfi.compare(source, target / "out.png", scene_cut="off", **plain)


SIZE = (32, 24)


def _pixels(rng: np.random.Generator) -> np.ndarray:
    channels = int(rng.choice((1, 3, 3, 3, 4)))
    picture = rng.integers(0, 256, (SIZE[1], SIZE[0], channels)).astype(np.uint8)
    return picture.astype(np.uint16) * 257 if rng.random() < 0.15 else picture


def _encoded(rng: np.random.Generator, suffix: str) -> bytes:
    picture = _pixels(rng)
    if suffix in (".jpg", ".webp"):
        picture = picture.astype(np.uint8)[..., :3]
    done, data = cv2.imencode(suffix, picture)
    assert done
    return data.tobytes()


def _text(rng: np.random.Generator, longest: int = 200) -> bytes:
    size = int(rng.integers(longest))
    return bytes(rng.integers(32, 127, size).astype(np.uint8)) if rng.random() < 0.7 else rng.bytes(size)


def _icc(rng: np.random.Generator) -> bytes:
    """A profile: a header of 128 bytes, a table of tags, and their data."""
    names = (b"desc", b"cprt", b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
    count = int(rng.integers(1, len(names) + 1))
    table, data, at = b"", b"", 132 + 12 * count
    for name in names[:count]:
        body = b"curv" + rng.bytes(int(rng.integers(8, 40)))
        table += name + struct.pack(">2I", at + len(data), len(body))
        data += body
    size = at + len(data)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head = (head.ljust(36, b"\0") + b"acsp").ljust(128, b"\0")
    return head + struct.pack(">I", count) + table + data


def _exif(
    rng: np.random.Generator, order: str = "", pixels: tuple[tuple[int, int, int, bytes], ...] = ()
) -> bytes:
    """A TIFF block with an orientation and random other tags, which may point anywhere.

    With the tags of `pixels`, as (tag, type, count, value), it is a TIFF file.
    """
    order = order or str(rng.choice(("<", ">")))
    entries: list[tuple[int, int, int, bytes]] = list(pixels)
    entries.append((274, 3, 1, struct.pack(f"{order}H", int(rng.integers(0, 10)))))
    for tag in rng.choice(
        (270, 271, 272, 305, 306, 700, 33432, 34665, 34675, 34853, 37500), rng.integers(0, 6)
    ):
        body = _icc(rng) if tag == 34675 else XMP if tag == 700 else _text(rng)
        kind = int(rng.choice((1, 2, 3, 4, 5, 7, 9, 10, 12)))
        if tag in (34665, 34853):
            body = struct.pack(f"{order}I", int(rng.choice((8, 0, 26, 1 << 31, int(rng.integers(400))))))
            kind = 4
        sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8, 12: 8}
        entries.append((int(tag), kind, max(1, len(body) // sizes[kind]), body))
    entries.sort(key=lambda entry: entry[0])
    base = 8 + 2 + 12 * len(entries) + 4
    table, data = b"", b""
    for tag, kind, count, body in entries:
        value = body.ljust(4, b"\0")
        if len(value) > 4:
            value, data = struct.pack(f"{order}I", base + len(data)), data + body
        table += struct.pack(f"{order}2HI", tag, kind, count) + value
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    following = int(rng.choice((0, 0, 0, 8, 9999)))
    whole = head + struct.pack(f"{order}H", len(entries)) + table + struct.pack(f"{order}I", following)
    return whole + data


def _png(rng: np.random.Generator) -> bytes:
    data = _encoded(rng, ".png")
    mastering = struct.pack(">8H2I", *rng.integers(0, 50001, 8), *rng.integers(0, 1 << 27, 2))
    kinds: tuple[Callable[[], tuple[bytes, bytes]], ...] = (
        lambda: (b"iCCP", (_text(rng, 90) or b"x") + b"\0\0" + zlib.compress(_icc(rng))),
        lambda: (b"eXIf", _exif(rng)),
        lambda: (b"tEXt", _text(rng, 90) + b"\0" + _text(rng)),
        lambda: (b"zTXt", _text(rng, 90) + b"\0\0" + zlib.compress(_text(rng))),
        lambda: (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        lambda: (b"cICP", bytes(rng.integers(0, 20, 4).astype(np.uint8))),
        lambda: (b"mDCV", mastering),
        lambda: (b"cLLI", rng.bytes(8)),
        lambda: (b"gAMA", rng.bytes(4)),
        lambda: (b"cHRM", rng.bytes(32)),
        lambda: (b"sRGB", b"\0"),
        lambda: (b"pHYs", rng.bytes(9)),
        lambda: (b"tIME", rng.bytes(7)),
        lambda: (b"tRNS", rng.bytes(int(rng.choice((1, 2, 6))))),
        lambda: (b"acTL", struct.pack(">2I", 1, 0)),
    )
    before = data.index(b"IDAT") - 4
    at = before if rng.random() < 0.9 else len(data) - 12  # before the pixels, or after them
    chunks = b""
    for n in rng.integers(0, len(kinds), rng.integers(1, 6)):
        kind, body = kinds[n]()
        chunks += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data[:at] + chunks + data[at:]


def _jpeg(rng: np.random.Generator) -> bytes:
    data = _encoded(rng, ".jpg")
    kinds: tuple[Callable[[], tuple[int, bytes]], ...] = (
        lambda: (0xE1, b"Exif\0\0" + _exif(rng)),
        lambda: (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
        lambda: (0xE2, b"ICC_PROFILE\0" + bytes(rng.integers(0, 4, 2).astype(np.uint8)) + _icc(rng)),
        lambda: (0xE2, b"MPF\0" + _exif(rng)),
        lambda: (0xED, b"Photoshop 3.0\0" + b"8BIM" + _text(rng)),
        lambda: (0xEE, b"Adobe" + rng.bytes(7)),
        lambda: (0xFE, _text(rng)),
    )
    segments = b""
    for n in rng.integers(0, len(kinds), rng.integers(1, 6)):
        marker, body = kinds[n]()
        segments += b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body
    return data[:2] + segments + data[2:]


def _webp(rng: np.random.Generator) -> bytes:
    data = _encoded(rng, ".webp")[12:]
    before, after, flags = b"", b"", 0
    if rng.random() < 0.6:
        before, flags = _riff(b"ICCP", _icc(rng)), flags | 0x20
    if rng.random() < 0.6:
        after, flags = after + _riff(b"EXIF", _exif(rng)), flags | 0x08
    if rng.random() < 0.6:
        after, flags = after + _riff(b"XMP ", XMP), flags | 0x04
    size = b"".join((side - 1).to_bytes(3, "little") for side in SIZE)
    if rng.random() < 0.05:
        flags |= 0x02  # said to be animated
    body = b"WEBP" + _riff(b"VP8X", bytes([flags, 0, 0, 0]) + size) + before + data + after
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _riff(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _tiff(rng: np.random.Generator) -> bytes:
    """A TIFF file of our own with one strip, or OpenCV's."""
    if rng.random() < 0.3:
        return _encoded(rng, ".tiff")
    order = str(rng.choice(("<", ">")))
    pixels = bytes(range(256)) * (SIZE[0] * SIZE[1] * 3 // 256)

    def short(value: int) -> bytes:
        return struct.pack(f"{order}H", value)

    tags = (
        *((256, 3, 1, short(SIZE[0])), (257, 3, 1, short(SIZE[1])), (258, 3, 3, short(8) * 3)),
        *((259, 3, 1, short(1)), (262, 3, 1, short(2)), (277, 3, 1, short(3)), (278, 3, 1, short(SIZE[1]))),
        *((273, 4, 1, b"STRI"), (279, 4, 1, struct.pack(f"{order}I", len(pixels)))),
    )
    whole = _exif(rng, order, tags)
    return whole.replace(b"STRI", struct.pack(f"{order}I", len(whole))) + pixels


def _in_container(
    make: Callable[[np.random.Generator], bytes], codec: str, muxer: str
) -> Callable[..., bytes]:
    """Videos whose packets are such pictures."""

    def video(rng: np.random.Generator) -> bytes:
        memory = io.BytesIO()
        with av.open(memory, "w", format=muxer) as out:
            stream = out.add_stream(codec, rate=10)
            stream.width, stream.height = SIZE
            stream.pix_fmt = "rgb24" if codec == "png" else "yuvj420p"
            out.start_encoding()
            for n in range(3):
                packet = av.Packet(make(rng))
                packet.pts = packet.dts = n
                packet.duration, packet.time_base, packet.stream = 1, Fraction(1, 10), stream
                out.mux(packet)
        return memory.getvalue()

    return video


MAKERS: dict[str, Callable[[np.random.Generator], bytes]] = {
    "png": _png,
    "jpg": _jpeg,
    "webp": _webp,
    "tif": _tiff,
    "png.nut": _in_container(_png, "png", "nut"),
    "jpg.mkv": _in_container(_jpeg, "mjpeg", "matroska"),
    "png.mov": _in_container(_png, "png", "mov"),
}


if __name__ == "__main__":
    typer.run(main)
