"""Tags, time codes, chapters and descriptions of the picture: kept, rewritten, or named."""

import struct
import subprocess
import uuid
from fractions import Fraction
from pathlib import Path

import av
import pytest
from clips import copy, ffmpeg, make_clip

import maskvfi
from maskvfi.video import open_sink, open_source

TAGS = {"title": "Holiday", "artist": "Someone", "comment": "note", "MY_OWN": "thing"}
CHAPTERS = [(0, 200, "One"), (200, 480, "Two")]


@pytest.mark.parametrize(
    ("suffix", "lost"),
    [
        (".mkv", []),
        (".mp4", ["mp4 does not keep the tags MY_OWN: left out"]),
        (
            ".avi",
            ["avi keeps no chapters: left out", "avi does not keep the tags MY_OWN: left out"],
        ),
        (
            ".ts",
            [
                "mpegts keeps no chapters: left out",
                "mpegts does not keep the tags ARTIST, COMMENT, MY_OWN, title: left out",
            ],
        ),
    ],
)
def test_what_a_container_drops_is_named(tmp_path, suffix, lost):
    source = make_clip(tmp_path / "a.mkv", chapters=CHAPTERS, tags=TAGS, colour=(6, 1, 6, 6))
    warnings = copy(source, tmp_path / f"b{suffix}", options={"preset": "ultrafast"})
    assert warnings == lost


def test_what_a_stream_is_for_is_named_where_it_is_lost(tmp_path, with_cover):
    source = make_clip(tmp_path / "a.mkv", subtitles=[(0, 400, "What?")])
    ffmpeg("-i", source, "-map", "0", "-c", "copy", "-disposition:s:0", "forced", tmp_path / "forced.mkv")
    warnings = copy(tmp_path / "forced.mkv", tmp_path / "b.mov")
    assert "mov does not keep that stream 1 (subtitle) is forced" in warnings
    covered = tmp_path / "covered.mp4"
    with_cover(make_clip(tmp_path / "c.mp4"), covered)
    assert any("cover" in line for line in copy(covered, tmp_path / "d.mov"))
    warnings = copy(covered, tmp_path / "d.mxf", codec="mpeg2video")
    assert any("(video png) is left out: mxf cannot hold it" in line for line in warnings)


def test_the_title_of_a_stream_is_shown_by_players_of_mp4(tmp_path):
    copy(make_clip(tmp_path / "a.mkv", audio="aac"), tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as made:
        assert made.streams.audio[0].metadata["handler_name"] == "Ton"


def coded(path: Path, text: str, rate: str = "25", seconds: int = 1) -> Path:
    picture = f"testsrc2=s=64x48:r={rate}:d={seconds}"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", picture, "-timecode", text, path], check=True
    )
    return path


def timecode(path: Path) -> str:
    with av.open(str(path)) as made:
        tags = {key.lower(): value for key, value in made.streams.video[0].metadata.items()}
    return tags["timecode"]


@pytest.mark.parametrize(("source", "target"), [(".mov", ".mov"), (".mov", ".mkv"), (".mkv", ".mp4")])
def test_a_time_code_follows_rate_and_start(tmp_path, source, target):
    clip = coded(tmp_path / f"a{source}", "01:00:00:12")
    plain = {"vfi": "blend", "mask": "off", "device": "cpu"}
    maskvfi.interpolate(clip, tmp_path / f"same{target}", factor=1, **plain)
    maskvfi.interpolate(clip, tmp_path / f"double{target}", **plain)
    maskvfi.interpolate(clip, tmp_path / f"later{target}", factor=1, start=0.6, **plain)
    found = [timecode(tmp_path / f"{name}{target}") for name in ("same", "double", "later")]
    assert found == ["01:00:00:12", "01:00:00:24", "01:00:01:02"]


def test_a_time_code_that_is_lost_is_named(tmp_path):
    assert any(
        "time code" in line for line in copy(coded(tmp_path / "a.mov", "01:00:00:12"), tmp_path / "b.avi")
    )
    video = coded(tmp_path / "a.mpg", "01:00:00:12")
    assert "mp4 does not keep the time code of the pictures: left out" in copy(video, tmp_path / "b.mp4")


def spherical(clip: Path, target: Path) -> Path:
    """A copy of an .mp4 that says that it shows all directions (Google's Spherical Video V1)."""
    fields = {
        "Spherical": "true",
        "Stitched": "true",
        "StitchingSoftware": "none",
        "ProjectionType": "equirectangular",
    }
    text = "".join(f"<GSpherical:{name}>{value}</GSpherical:{name}>" for name, value in fields.items())
    xml = f"<rdf:SphericalVideo>{text}</rdf:SphericalVideo>".encode()
    mark = uuid.UUID("ffcc8263-f855-4a93-8814-587a02521fdd").bytes + xml
    data = clip.read_bytes()
    moov = data.rindex(b"moov") - 4  # the last box, so that no other box moves
    trak = data.index(b"trak", moov) - 4
    size = struct.unpack_from(">I", data, trak)[0]
    box = struct.pack(">I4s", 8 + len(mark), b"uuid") + mark
    made = bytearray(data[: trak + size] + box + data[trak + size :])
    struct.pack_into(">I", made, trak, size + len(box))
    struct.pack_into(">I", made, moov, struct.unpack_from(">I", data, moov)[0] + len(box))
    target.write_bytes(made)
    return target


def test_a_projection_that_is_lost_is_named(tmp_path):
    clip = spherical(make_clip(tmp_path / "a.mp4"), tmp_path / "round.mp4")
    assert copy(clip, tmp_path / "b.mp4") == [
        "mp4 does not keep the spherical (360 degrees) projection: left out"
    ]


def test_colours_that_a_container_does_not_name_are_named(tmp_path):
    clip = make_clip(
        tmp_path / "a.mkv", colour=(9, 1, 9, 16), pix_fmt="yuv420p10le", codec="ffv1", options={}
    )
    found = copy(clip, tmp_path / "b.y4m", codec="wrapped_avframe")
    for word in ("primaries", "transfer function", "matrix"):
        assert any(f"does not keep the {word} of the colours" in line for line in found)


def test_a_pipe_names_the_colours_that_it_does_not_keep(tmp_path):
    line = "a pipe keeps no primaries and no transfer function and no matrix of the colours: left out"
    for name, colour, expected in (("tagged", (9, 1, 9, 16), [line]), ("untagged", (2, 1, 2, 2), [])):
        clip = make_clip(tmp_path / f"{name}.mkv", colour=colour)
        with open_source(clip) as reader:
            sink = open_sink("-", reader.info, rate=Fraction(25), copy_from=clip)
            sink.abort()
        assert sink.warnings == expected


def test_pictures_and_pipes_name_what_else_there_is(tmp_path):
    source = make_clip(tmp_path / "a.mkv", audio="flac", subtitles=[(0, 100, "x")], chapters=CHAPTERS)
    with open_source(source) as reader:
        for target in (f"{tmp_path}/frames/", "-"):
            sink = open_sink(target, reader.info, rate=Fraction(25), copy_from=source)
            sink.abort()
            assert any("keeps no sound and no subtitles and no chapters" in line for line in sink.warnings)
