"""Time codes under other frame rates, from other places, with dropped labels."""

from fractions import Fraction

import pytest

from maskvfi.video.timecode import moved_timecode

NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)


@pytest.mark.parametrize(
    ("text", "rate", "new_rate", "start", "expected"),
    [
        ("01:00:00:12", Fraction(25), Fraction(50), 0, "01:00:00:24"),
        ("01:00:00:12", Fraction(25), Fraction(25), 0, "01:00:00:12"),
        ("01:00:00:12", Fraction(25), Fraction(25), Fraction(3, 5), "01:00:01:02"),
        ("01:00:00:00", Fraction(25), Fraction(50), Fraction(1, 2), "01:00:00:25"),
        ("01:00:00:12", Fraction(25), Fraction(50), 61, "01:01:01:24"),
        ("23:59:59:24", Fraction(25), Fraction(50), 1, "00:00:00:48"),
        ("10:00:00:12", FILM, Fraction(60000, 1001), 0, "10:00:00:30"),
        ("10:00:00:12", FILM, 2 * FILM, 0, "10:00:00:24"),
        ("00:00:59;29", NTSC, 2 * NTSC, 0, "00:00:59;58"),
        ("00:00:59;29", NTSC, NTSC, Fraction(1001, 30000), "00:01:00;02"),
        ("00:00:59;29", NTSC, 2 * NTSC, Fraction(1001, 30000), "00:01:00;04"),
        ("00:09:59;29", NTSC, 2 * NTSC, Fraction(1001, 30000), "00:10:00;00"),
        ("01:00:00;00", NTSC, 4 * NTSC, 0, "01:00:00;00"),
        ("01:00:00;00", NTSC, Fraction(50), 0, "01:00:00:00"),
        ("00:00:01:10", Fraction(20), Fraction(240), 0, "00:00:01:120"),
        ("midnight", NTSC, NTSC, 0, None),
        ("00:00:00:00", Fraction(1, 10), Fraction(1, 5), 0, None),
    ],
)
def test_the_first_frame_keeps_its_moment(text, rate, new_rate, start, expected):
    assert moved_timecode(text, rate, new_rate, Fraction(start)) == expected
