"""Cuts, repeats, loops and slow motion: which two frames every output frame lies between."""

from fractions import Fraction

import numpy as np
import pytest

from maskvfi.timing.gaps import MAX_HELD, Gap, split, stretched
from maskvfi.timing.scenes import SceneWatcher, Watched
from maskvfi.timing.timeline import ByFactor, ByRate
from maskvfi.video import Colour, Frame, PixelFormat, SourceInfo

GREY = PixelFormat.parse("gray")
RGB = PixelFormat.parse("gbrp")
RATE = Fraction(10)


def frame(number: int, picture: np.ndarray | None = None) -> Frame:
    plane = np.full((48, 64), number, np.uint8) if picture is None else picture
    return Frame((plane,), GREY, number / RATE, 1 / RATE)


def watched(repeats: str) -> list[Watched]:
    """One frame per letter: "r" repeats the one before, "c" starts a scene, "." is any other."""
    return [Watched(frame(n), kind == "c", kind == "r") for n, kind in enumerate(repeats)]


def info() -> SourceInfo:
    colour = Colour.from_tags(GREY, 48)
    return SourceInfo("made", 64, 48, GREY, colour, rate=RATE, time_base=1 / RATE)


def places(gaps: list[Gap]) -> list[tuple[int, int | None, Fraction]]:
    """For every output frame: the source frames it lies between, by number, and where."""
    return [
        (int(gap.start.pts * RATE), None if gap.end is None else int(gap.end.pts * RATE), t)
        for gap in gaps
        for _, t in gap.slots
    ]


def test_every_output_frame_lies_between_the_neighbours_of_its_time():
    half = Fraction(1, 2)
    assert places([*split(watched("..."), ByFactor(2))]) == [
        (0, 1, 0), (0, 1, half), (1, 2, 0), (1, 2, half), (2, None, 0),
    ]  # fmt: skip


def test_resolve_spreads_motion_evenly_over_repeats():
    third = Fraction(1, 3)
    found = places([*split(watched(".rr."), ByFactor(1), resolve=True)])
    assert found == [(0, 3, 0), (0, 3, third), (0, 3, 2 * third), (3, None, 0)]


def test_keep_leaves_repeats_alone():
    assert places([*split(watched(".rr."), ByFactor(1))]) == [(0, 1, 0), (1, 2, 0), (2, 3, 0), (3, None, 0)]


def test_a_pause_stays_a_pause():
    gaps = [*split(watched("." + "r" * 20 + "."), ByFactor(2), resolve=True)]
    assert [slot.pts for gap in gaps for slot, _ in gap.slots] == [Fraction(k, 20) for k in range(43)]
    assert all(end is None or end - start <= 1 for start, end, _ in places(gaps))


def test_a_single_frame_is_kept():
    assert places([*split(watched("."), ByFactor(4))]) == [(0, None, 0)]
    assert [*split([], ByFactor(2))] == []


def test_a_loop_leads_from_the_last_frame_to_the_first():
    gaps = [*split(watched("..."), ByFactor(2), loop=True)]
    assert places(gaps)[-2:] == [(2, 0, Fraction(0)), (2, 0, Fraction(1, 2))]
    assert sum(len(gap.slots) for gap in gaps) == 6


@pytest.mark.parametrize("holds", ["r", "rr", "rrrr"])
def test_a_loop_of_held_drawings_is_even_over_its_seam(holds):
    length = len(holds) + 1
    gaps = [*split(watched(("." + holds) * 4), ByFactor(2), resolve=True, loop=True)]
    phases = [
        (int(gap.start.pts * RATE) // length + t) % 4
        for gap in gaps
        for _, t in gap.slots
        if gap.end is not None
    ]
    assert phases == [Fraction(k, 2 * length) for k in range(8 * length)]
    assert gaps[-1].end is gaps[0].start
    times = [slot.pts for gap in gaps for slot, _ in gap.slots]
    assert times == [Fraction(k, 20) for k in range(8 * length)]


def test_a_loop_that_ends_with_a_pause_leaves_the_pause():
    gaps = [*split(watched(".." + "r" * 20), ByFactor(1), resolve=True, loop=True)]
    assert places(gaps)[-2:] == [(20, 21, 0), (21, 0, 0)]


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("rate", [3, 4, 7, 24])
@pytest.mark.parametrize("count", [7, 9, 10])
def test_the_last_output_frame_ends_with_the_stream(rate, loop, count):
    frames = watched("." * count)
    slots = [slot for gap in split(frames, ByRate(rate), loop=loop) for slot, _ in gap.slots]
    assert [slot.pts for slot in slots] == [Fraction(k, rate) for k in range(-(-count * rate // 10))]
    assert {slot.duration for slot in slots[:-1]} <= {Fraction(1, rate)}
    assert slots[-1].pts + slots[-1].duration == count / RATE


def test_few_frames_wait_for_the_end_and_the_last_one_still_ends_with_the_stream():
    alive = 0
    most = 0

    class Counted(np.ndarray):
        def __del__(self):
            nonlocal alive
            alive -= 1

    def counted():
        nonlocal alive, most
        for number in range(1000):
            alive += 1
            most = max(most, alive)
            yield Watched(frame(number, np.zeros((2, 2), np.uint8).view(Counted)), False, False)

    slots = [slot for gap in split(counted(), ByRate(Fraction(1, 60))) for slot, _ in gap.slots]
    assert [(slot.pts, slot.duration) for slot in slots] == [(0, 60), (60, 40)]
    assert most <= MAX_HELD + 10


def test_slow_motion_keeps_the_rate_and_stretches_time():
    slow = [
        Watched(f, False, False) for f in stretched((frame(n) for n in range(3)), Fraction(0), Fraction(5, 2))
    ]
    slots = [slot for gap in split(slow, ByRate(RATE)) for slot, _ in gap.slots]
    assert len(slots) == 8
    assert slots[-1].pts + slots[-1].duration == Fraction(3, 4)


def footage(scenes: list[int]) -> list[Frame]:
    """Textured scenes that drift by a pixel per frame; the numbers are their lengths."""
    frames = []
    for scene, length in enumerate(scenes):
        texture = (
            np.random.default_rng(scene).integers(0, 256, (6, 12)).astype(np.uint8).repeat(8, 0).repeat(16, 1)
        )
        for k in range(length):
            frames.append(frame(len(frames), np.ascontiguousarray(texture[:, k : k + 64])))
    return frames


def cuts(frames: list[Frame], scene_cut: str | float) -> list[int]:
    seen = [*SceneWatcher(info(), scene_cut).watch(frames)]
    assert [w.frame for w in seen] == frames
    return [n for n, w in enumerate(seen) if w.cut]


@pytest.mark.parametrize("scenes", [[12, 12], [1, 12], [12, 1], [2, 3, 9], [20]])
def test_cuts_are_found_wherever_they_lie(scenes):
    starts = [sum(scenes[:k]) for k in range(1, len(scenes))]
    assert cuts(footage(scenes), "auto") == starts
    assert cuts(footage(scenes), 15) == starts
    assert cuts(footage(scenes), "off") == []


def test_drawings_held_for_three_frames_are_repeats_not_cuts():
    drawings = [f for f in footage([8]) for _ in range(3)]
    frames = [frame(n, f.planes[0]) for n, f in enumerate(drawings)]
    seen = [*SceneWatcher(info()).watch(frames)]
    assert [w.duplicate for w in seen] == [n % 3 != 0 for n in range(24)]
    assert not any(w.cut for w in seen)


def test_noise_does_not_hide_a_repeat_and_a_small_mover_is_none():
    rng = np.random.default_rng(0)
    base = footage([1])[0].planes[0].astype(int)
    noisy = np.clip(base + rng.integers(-1, 2, base.shape), 0, 255).astype(np.uint8)
    moved = base.astype(np.uint8).copy()
    moved[20:24, 30:34] = 255 - moved[20:24, 30:34]
    seen = [*SceneWatcher(info()).watch([frame(0, base.astype(np.uint8)), frame(1, noisy), frame(2, moved)])]
    assert [w.duplicate for w in seen] == [False, True, False]


def test_two_or_three_pictures_of_a_pan_are_one_scene():
    texture = np.random.default_rng(3).integers(0, 256, (48, 128)).astype(np.uint8)
    pan = [frame(k, np.ascontiguousarray(texture[:, 4 * k : 4 * k + 64])) for k in range(10)]
    for count in (2, 3, 4, 10):
        assert cuts(pan[:count], "auto") == []


def test_no_step_of_a_fade_is_a_cut():
    grey = footage([1])[0].planes[0]
    green, blue, red = grey, grey // 3, grey // 2
    strengths = [1, 1, *(1 - k / 8 for k in range(1, 9)), 0, 0, 0]
    for order in (strengths, strengths[::-1]):
        planes = [tuple((p * s).round().astype(np.uint8) for p in (green, blue, red)) for s in order]
        faded = [Frame(p, RGB, n / RATE, 1 / RATE) for n, p in enumerate(planes)]
        made = SourceInfo("made", 64, 48, RGB, Colour.from_tags(RGB, 48), rate=RATE, time_base=1 / RATE)
        assert not any(seen.cut for seen in SceneWatcher(made).watch(faded))


def test_a_picture_that_stays_does_not_pile_up():
    still = footage([1])[0].planes[0]
    given: list[int] = []

    def frames():
        for n in range(200):
            given.append(n)
            yield frame(n, still)

    ahead = [len(given) - n for n, _ in enumerate(SceneWatcher(info()).watch(frames()))]
    assert max(ahead) < 12


def test_a_slide_after_a_long_one_is_a_cut_and_motion_after_a_pause_is_none():
    slides = [f.planes[0] for f in footage([1, 1, 1]) for _ in range(12)]
    assert cuts([frame(n, slide) for n, slide in enumerate(slides)], "auto") == [12, 24]
    drift = footage([10])
    paused = [drift[0].planes[0]] * 12 + [f.planes[0] for f in drift]
    assert cuts([frame(n, picture) for n, picture in enumerate(paused)], "auto") == []


def test_a_tall_picture_is_watched_in_little_memory():
    colour = Colour.from_tags(GREY, 4000)
    made = SourceInfo("made", 4, 4000, GREY, colour, rate=RATE, time_base=1 / RATE)
    tall = [frame(n, np.full((4000, 4), 40 * n, np.uint8)) for n in range(4)]
    watcher = SceneWatcher(made)
    assert len([*watcher.watch(tall)]) == 4
    assert watcher._size == (1, 1000)


def of_planes(colours: list[tuple[np.ndarray, ...]]) -> list[Frame]:
    """Frames in RGB from planes for green, blue and red."""
    return [Frame(planes, RGB, n / RATE, 1 / RATE) for n, planes in enumerate(colours)]


def test_all_three_colours_of_rgb_say_what_repeats_and_what_is_a_cut():
    moving = [each.planes[0] for each in footage([24])]
    flat = np.full_like(moving[0], 90)
    source = SourceInfo("rgb", 64, 48, RGB, Colour.from_tags(RGB, 48), rate=RATE, time_base=1 / RATE)

    def watched_as_rgb(frames: list[Frame]) -> list[Watched]:
        return [*SceneWatcher(source).watch(frames)]

    assert not any(w.duplicate for w in watched_as_rgb(of_planes([(flat, flat, plane) for plane in moving])))
    blue, red = np.full_like(flat, 220), np.full_like(flat, 0)
    scenes = [(flat, blue, red)] * 8 + [(flat, red, blue)] * 8
    assert [n for n, w in enumerate(watched_as_rgb(of_planes(scenes))) if w.cut] == [8]
