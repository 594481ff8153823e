"""Animated WebP as a source: its pictures, times, alpha and loops, and what is damaged."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageDraw

import maskvfi
from maskvfi.video import MediaError, open_source

DURATIONS = [40, 70, 10, 40, 1000]  # ms
PLAIN = {"vfi": "blend", "mask": "off", "device": "cpu"}


def animation(path, mode="RGB", durations=DURATIONS, loop=3):
    """A lossless animation of noise, of which `mode` RGBA leaves a hole; returns its pictures."""
    pictures = []
    for n, _ in enumerate(durations):
        picture = Image.effect_noise((48, 32), 90 + n).convert(mode)
        if mode == "RGBA":
            ImageDraw.Draw(picture).rectangle((4 * n, 4, 4 * n + 9, 20), fill=(9, 8, 7, 0))
        pictures.append(picture)
    how = {"lossless": True, "exact": True, "loop": loop}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, **how)
    return [np.asarray(picture) for picture in pictures]


def shown_by(path):
    """Durations in ms, and how often it plays."""
    with Image.open(path) as shown:
        durations = []
        for n in range(shown.n_frames):
            shown.seek(n)
            shown.load()
            durations.append(shown.info["duration"])
        return durations, shown.info["loop"]


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_pictures_times_and_alpha_are_read_exactly(tmp_path, mode):
    pictures = animation(tmp_path / "a.webp", mode)
    with open_source(tmp_path / "a.webp") as reader:
        frames = list(reader)
    assert reader.info.format.name == ("gbrap" if mode == "RGBA" else "gbrp")
    assert (reader.info.frames_estimate, reader.info.duration) == (5, Fraction(116, 100))
    assert [int(1000 * frame.duration) for frame in frames] == DURATIONS
    assert [int(1000 * frame.pts) for frame in frames] == [0, 40, 110, 120, 160]
    for frame, picture in zip(frames, pictures, strict=True):
        got = np.dstack([frame.planes[k] for k in (2, 0, 1, 3)[: picture.shape[2]]])
        seen = np.ones(got.shape[:2], bool) if mode == "RGB" else picture[..., 3] > 0
        assert np.array_equal(got[seen], picture[seen])
        assert np.array_equal(got[..., 3:], picture[..., 3:])


def test_a_webp_becomes_a_webp_of_twice_the_pictures_that_plays_as_long_and_as_often(tmp_path):
    animation(tmp_path / "a.webp")
    report = maskvfi.interpolate(tmp_path / "a.webp", **PLAIN)
    assert (report.frames_in, report.frames_out) == (5, 9)
    assert shown_by(tmp_path / "a_2x.webp") == ([20, 20, 35, 35, 5, 5, 20, 20, 1000], 3)


def test_many_pictures_are_decoded_some_at_a_time(tmp_path, monkeypatch):
    pictures = animation(tmp_path / "a.webp", durations=[40] * 7)
    monkeypatch.setattr("maskvfi.video.webp._AT_ONCE", 3 * pictures[0].nbytes)
    with open_source(tmp_path / "a.webp") as reader:
        for frame, picture in zip(reader, pictures, strict=True):
            assert np.array_equal(frame.planes[2], picture[..., 0])


def test_a_window_has_the_picture_that_is_held_when_it_begins(tmp_path):
    animation(tmp_path / "a.webp", durations=[1000, 40, 40, 40])
    with open_source(tmp_path / "a.webp", start=Fraction(1, 2), end=Fraction(105, 100)) as reader:
        found = [(frame.pts, frame.duration) for frame in reader]
    assert found == [
        (Fraction(1, 2), Fraction(1, 2)),
        (1, Fraction(1, 25)),
        (Fraction(26, 25), Fraction(1, 100)),
    ]


def test_a_picture_of_no_duration_is_shown_as_browsers_show_it(tmp_path):
    animation(tmp_path / "a.webp", durations=[40, 0, 40])
    with open_source(tmp_path / "a.webp") as reader:
        assert [frame.duration for frame in reader] == [Fraction(1, 25), Fraction(1, 10), Fraction(1, 25)]


def test_what_is_whole_of_a_cut_off_webp_is_read(tmp_path, capfd):
    animation(tmp_path / "a.webp")
    data = (tmp_path / "a.webp").read_bytes()
    (tmp_path / "b.webp").write_bytes(data[:-1])
    report = maskvfi.interpolate(tmp_path / "b.webp", tmp_path / "b.mkv", **PLAIN)
    assert (report.frames_in, report.frames_out) == (4, 7)
    assert report.damage.endswith("b.webp: is cut off after frame 4")
    (tmp_path / "c.webp").write_bytes(data[:200])
    with pytest.raises(MediaError, match=r"c\.webp: cannot be decoded"):
        maskvfi.interpolate(tmp_path / "c.webp", tmp_path / "c.mkv", **PLAIN)
    assert not (tmp_path / "c.mkv").exists()
    assert not capfd.readouterr().err
