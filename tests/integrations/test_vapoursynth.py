"""Clips through VapourSynth where it is installed (Python 3.12); its calls, with frames like its own, everywhere."""

import sys
from fractions import Fraction
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from maskvfi import StaticMaskNet, save_weights
from maskvfi.integrations import vapoursynth
from maskvfi.integrations.vapoursynth import _NewFrames, interpolate, static_layer, static_mask
from maskvfi.models.static import StaticConfig
from maskvfi.synthesis.interpolator import Interpolator

SIZE = (48, 64)


def exact_openvino():
    """What vs-mlrt asks for OpenVINO's settings: where the CPU has bfloat16 it would compute in that."""
    return {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.fixture(autouse=True)
def in_torch(monkeypatch):
    monkeypatch.setattr(vapoursynth, "Interpolator", partial(Interpolator, runtime="torch"))


class Frame:
    """As much of VapourSynth's frame as the calls need: planes by number, props, a writable copy."""

    def __init__(self, planes, **props):
        self.planes, self.props = planes, props

    def __getitem__(self, plane):
        return self.planes[plane]

    def copy(self):
        return Frame([plane.copy() for plane in self.planes], **self.props)


def frame(shift=0, dtype=np.float32, **props):
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    wave = 0.5 + 0.2 * np.sin((x + shift) / 4) + 0.2 * np.sin(y / 5)
    return Frame([wave.astype(dtype) for _ in range(3)], **props)


@pytest.fixture(scope="module")
def between():
    clip = SimpleNamespace(num_frames=2, width=SIZE[1], height=SIZE[0])
    rate = SimpleNamespace(clip=clip, factor=Fraction(2))
    made = _NewFrames(Interpolator("vfi-m", None, "cpu", runtime="torch"), rate, True)

    def call(n, start, end):
        made._views.clear()
        made._blocks.clear()
        return made.draw(n, [start, start, end])

    return call


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_new_frame_lies_between_its_neighbours(between, dtype):
    start, end = frame(0, dtype, _DurationNum=1), frame(4, dtype)
    made = between(1, start, end)
    middle = frame(2).planes[0]
    assert np.abs(made[0][8:-8, 8:-8] - middle[8:-8, 8:-8]).mean() < 0.01
    assert made[0].dtype == dtype
    assert made.props == {"_DurationNum": 1}
    assert between(0, start, end) is start


def test_a_cut_holds_the_earlier_frame(between):
    plain = frame(0)
    for start, end in (
        (frame(0, _SceneChangeNext=1), frame(4)),
        (plain, frame(4, _SceneChangePrev=1)),
    ):
        assert between(1, start, end) is start
    assert between(1, frame(0, _SceneChangeNext=0), frame(4, _SceneChangePrev=0)) is not plain


class Clip:
    """A list of frames that can be cut, joined and changed as VapourSynth's clips can."""

    format, height, width = SimpleNamespace(id="RGBS"), *SIZE

    def __init__(self, frames):
        self.frames = frames
        self.std = SimpleNamespace(
            ModifyFrame=self.modify, SelectEvery=lambda cycle, offsets: self[offsets[0] :: cycle]
        )

    @property
    def num_frames(self):
        return len(self.frames)

    def __getitem__(self, at):
        return Clip(self.frames[at] if isinstance(at, slice) else [self.frames[at]])

    def __add__(self, other):
        return Clip(self.frames + other.frames)

    def modify(self, clips, selector):
        several = zip(*(clip.frames for clip in clips), strict=False)
        return Clip([selector(n=n, f=list(f)) for n, f in enumerate(several)])


@pytest.fixture
def fake(monkeypatch):
    def interleave(clips):
        return Clip(
            [frame for together in zip(*(c.frames for c in clips), strict=True) for frame in together]
        )

    core = SimpleNamespace(std=SimpleNamespace(Interleave=interleave))
    module = SimpleNamespace(core=core, RGBS="RGBS", RGBH="RGBH", Error=RuntimeError)
    monkeypatch.setitem(sys.modules, "vapoursynth", module)


@pytest.mark.parametrize("mask", [None, "static-s"])
def test_new_frames_keep_what_is_brighter_than_white(mask):
    clip = SimpleNamespace(num_frames=2, width=SIZE[1], height=SIZE[0])
    made = _NewFrames(
        Interpolator("vfi-m", mask, "cpu", runtime="torch"),
        SimpleNamespace(clip=clip, factor=Fraction(2)),
        True,
    )
    start, end = (Frame([3 * plane for plane in frame(shift).planes]) for shift in (0, 4))
    block = [start, end, end, end, end]
    new = made.draw(1, [start, *block])
    inside = new[0][8:-8, 8:-8]
    assert inside.max() > 2
    assert np.abs(inside - 3 * frame(2).planes[0][8:-8, 8:-8]).mean() < 0.05


def test_no_scene_change_is_marked_where_new_frames_lie(fake):
    frames = [frame(0), frame(4, _SceneChangeNext=1), frame(20, _SceneChangePrev=1), frame(24)]
    made = interpolate(Clip(frames), 4, mask=None, device="cpu").frames
    assert [n for n, each in enumerate(made) if each.props.get("_SceneChangePrev")] == [8]
    again = interpolate(
        Clip(interpolate(Clip(frames), 2, mask=None, device="cpu").frames), 2, mask=None, device="cpu"
    )
    assert not np.array_equal(again.frames[9][0], again.frames[8][0])  # after the cut there is motion


def test_masks_take_no_options_that_would_do_nothing(fake):
    for make, name in ((static_mask, "static"), (static_layer, "scale")):
        with pytest.raises(RuntimeError, match=f"{make.__name__} has no option '{name}'"):
            make(Clip([frame(), frame(4)]), **{name: 1})


def test_masks_of_new_frames_are_computed_in_blocks_but_not_for_players(fake, monkeypatch):
    frames = [frame(shift) for shift in (0, 3, 5, 9, 14)]
    for each in frames:
        each.planes = [plane.copy() for plane in each.planes]
        for plane in each.planes:
            plane[10:30, 20:40] = 0.9  # stands still
    network = Interpolator(device="cpu", runtime="torch")
    views = [network.view(torch.from_numpy(np.stack(each.planes))[None]) for each in frames]
    together = network.copied(views)
    for endless in (False, True):
        monkeypatch.setattr(vapoursynth, "_ENDLESS", 3 if endless else 100)
        made = interpolate(Clip(frames), 2, device="cpu").frames
        for k, copied in enumerate(together):
            alone = network.copied(views[k : k + 2])[0]
            expected = network.between(*views[k : k + 2], 0.5, copied=alone if endless else copied)
            assert np.array_equal(np.stack(made[2 * k + 1].planes), expected[0].numpy())


def test_what_is_no_number_spoils_nothing_around_it(fake):
    frames = [frame(shift) for shift in (0, 3, 5)]
    for each in frames:
        each.planes[1] = each.planes[1].copy()
        each.planes[1][20, 30] = np.nan
    made = interpolate(Clip(frames), 2, device="cpu").frames[1]
    assert all(np.isfinite(plane).all() for plane in made.planes)


def test_a_clip_gets_new_frames_in_every_gap_and_keeps_its_own(fake):
    clip = Clip([frame(0), frame(4), frame(8, _SceneChangePrev=1)])
    assert interpolate(clip, 3, mask=None, device="cpu").frames[8] is clip.frames[2]
    made = interpolate(clip, 3, mask=None, device="cpu", hold_last=False).frames
    assert len(made) == 7
    assert made[::3] == clip.frames
    assert made[4] is made[5] is clip.frames[1]
    for n in (1, 2):
        assert np.abs(made[n][0] - frame(4 * n / 3).planes[0])[8:-8, 8:-8].mean() < 0.01
    assert interpolate(clip[:1], 3).num_frames == 3
    assert interpolate(clip[:1], 3, hold_last=False).num_frames == 1
    with pytest.raises(RuntimeError, match="at least 1, not 0"):
        interpolate(clip, 0)
    for options, line in (
        ({"fps_den": 2}, "fps_den needs fps_num"),
        ({"factor": 2, "factor_num": 3}, "not both"),
        ({"factor_num": "x"}, "at least 1, not x"),
        ({"vfi": 7}, "maskvfi: "),
        ({"model": "4.6"}, "maskvfi: .*model"),
    ):
        with pytest.raises(RuntimeError, match=line):
            interpolate(clip, **options)
    for options in ({"mask": None}, {"mask": "off"}, {"vfi": "vfi-m"}):
        with pytest.raises(RuntimeError, match="maskvfi: "):
            static_mask(clip, **options)
    clip.format = SimpleNamespace(id="YUV420P8")
    with pytest.raises(RuntimeError, match="must be RGBS or RGBH"):
        interpolate(clip)


@pytest.fixture
def vs():
    return pytest.importorskip("vapoursynth")


def moving(vs, frames):
    """A clip of VapourSynth's own, whose frames are those of `frame(4 * n)`."""
    blank = vs.core.std.BlankClip(
        width=64, height=48, length=frames, fpsnum=24000, fpsden=1001, format=vs.RGBS
    )

    def draw(n, f):
        drawn = f.copy()
        for plane, values in enumerate(frame(4 * n).planes):
            np.copyto(np.asarray(drawn[plane]), values)
        return drawn

    return blank.std.ModifyFrame(clips=blank, selector=draw)


def test_vapoursynth_itself_gets_new_frames_and_its_own_times(vs):
    clip = moving(vs, 4)
    made = interpolate(clip, 3, mask=None, device="cpu")
    assert (made.num_frames, made.fps) == (12, clip.fps * 3)
    assert interpolate(clip, factor=3, mask=None, device="cpu", hold_last=False).num_frames == 10
    for n in (0, 3, 6, 9, 11):
        assert np.array_equal(made.get_frame(n)[0], clip.get_frame(n // 3)[0])
    for n in (5, 1, 8, 7):  # in any order, as a script's viewer asks
        error = np.abs(np.asarray(made.get_frame(n)[0]) - frame(4 * n / 3).planes[0])
        assert error[8:-8, 8:-8].mean() < 0.01
    props = made.get_frame(1).props
    assert props["_DurationNum"] / props["_DurationDen"] == pytest.approx(1001 / 72000)


def test_vapoursynth_holds_the_earlier_frame_at_a_cut(vs):
    clip = moving(vs, 3)
    clip = clip[0] + clip[1].std.SetFrameProps(_SceneChangeNext=1) + clip[2]
    made = interpolate(clip, 2, mask=None, device="cpu")
    assert np.array_equal(made.get_frame(3)[0], clip.get_frame(1)[0])
    assert not np.array_equal(made.get_frame(1)[0], clip.get_frame(0)[0])


def test_vapoursynth_gets_a_mask_for_what_stands_still(vs):
    """Half precision, the mask on: what stands beside a moving stripe is copied as it is."""
    grey = vs.core.std.BlankClip(format=vs.RGBS, width=128, height=96, length=3, color=[0.3, 0.5, 0.7])

    def draw(n, f):
        out = f.copy()
        x, y = np.meshgrid(np.arange(128), np.arange(96))
        for plane in range(3):
            values = np.asarray(out[plane])
            values += (0.2 * np.sin(x / 3) * np.sin(y / 4)).astype(np.float32)
            values[70:90] = 0.5 + 0.4 * np.sin((x[70:90] - 6 * n) / 5)
        return out

    clip = grey.std.ModifyFrame(clips=grey, selector=draw).resize.Point(format=vs.RGBH)
    made = interpolate(clip, 2, device="cpu")
    plain = interpolate(clip, 2, mask=None, device="cpu")
    before, new, warped = (
        np.asarray(frame[1]) for frame in (made.get_frame(0), made.get_frame(1), plain.get_frame(1))
    )
    still = np.s_[8:40, 8:-8]
    assert np.array_equal(new[still], before[still])
    assert not np.array_equal(warped[still], before[still])
    assert not np.array_equal(new[70:90], before[70:90])


def test_vapoursynth_refuses_other_formats(vs):
    for wrong in (vs.YUV420P8, vs.RGB24):
        with pytest.raises(vs.Error, match="RGBS or RGBH"):
            interpolate(vs.core.std.BlankClip(format=wrong))
    clip = moving(vs, 2)
    for wrong, message in (
        ({"factor_num": 1, "factor_den": 2}, "can only be raised"),
        ({"vfi": "no-such-network"}, "no-such-network"),
        ({"device": "nowhere"}, "'nowhere' is not available"),
        ({"colour": 1}, "there is no option 'colour'"),
    ):
        with pytest.raises(vs.Error, match=message):
            interpolate(clip, **{"device": "cpu", **wrong})


def test_vapoursynth_gets_the_rate_it_asks_for(vs):
    clip = moving(vs, 5)
    made = interpolate(clip, fps_num=60000, fps_den=1001, mask=None, vfi="blend", device="cpu")
    assert (made.num_frames, made.fps) == (12, clip.fps * 5 / 2)
    same = interpolate(clip, factor_num=5, factor_den=2, mask=None, vfi="blend", device="cpu")
    assert (same.num_frames, same.fps) == (12, made.fps)
    for n in range(12):
        at = min(n * 2 / 5, 4)
        a, b = (np.asarray(clip.get_frame(k)[0]) for k in (int(at), min(int(at) + 1, 4)))
        np.testing.assert_allclose(made.get_frame(n)[0], a + (b - a) * (at % 1), atol=1e-5)


def films(tmp_path):
    """A film in which the lower half stands still, and another program's version of it with a stripe through both."""
    rng = np.random.default_rng(0)
    sheet = np.kron(rng.integers(0, 256, (8, 20, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    source = []
    for k in range(7):
        picture = np.roll(sheet, 3 * k, axis=1)[:, :96]
        picture[32:] = sheet[32:, :96]
        source.append(picture)
    made = [picture.copy() for picture in np.repeat(source, 2, axis=0)]
    for picture in made[1::2]:
        picture[:, 40:50] ^= 24
    return source, made


def clip_of(vs, pictures, rate):
    blank = vs.core.std.BlankClip(
        width=96, height=64, length=len(pictures), fpsnum=rate, fpsden=1, format=vs.RGBS, keep=True
    )

    def draw(n, f):
        drawn = f.copy()
        for plane in range(3):
            np.copyto(np.asarray(drawn[plane]), pictures[n][..., plane].astype(np.float32) / 255)
        return drawn

    return blank.std.ModifyFrame(clips=blank, selector=draw)


def test_mask_and_layer_in_vapoursynth_do_what_protect_does(vs, tmp_path):
    av = pytest.importorskip("av")
    import maskvfi
    from maskvfi.video import open_source

    source, made = films(tmp_path)
    paths = []
    for name, pictures, rate in (("in", source, 12), ("made", made, 24)):
        paths.append(tmp_path / f"{name}.mp4")  # exact times; Matroska rounds them to 1/1000 s
        with av.open(str(paths[-1]), "w") as out:
            video = out.add_stream("libx264rgb", rate=rate, options={"qp": "0"})
            video.width, video.height, video.pix_fmt = 96, 64, "rgb24"
            for picture in pictures:
                out.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            out.mux(video.encode(None))
    rgb = {"codec": "libx264rgb", "pix_fmt": "rgb24", "encoder_options": {"qp": "0"}}
    maskvfi.protect(*paths, tmp_path / "out.mp4", device="cpu", scene_cut="off", **rgb)
    clip, other = clip_of(vs, source, 12), clip_of(vs, made, 24)
    weight = static_mask(clip, 2, device="cpu")
    assert (weight.format.id, weight.num_frames, weight.fps) == (vs.GRAYS, 14, 24)
    layer = static_layer(clip, 2, device="cpu")
    alpha = layer.std.PropToClip()
    for n in range(14):
        assert np.array_equal(np.asarray(alpha.get_frame(n)[0]), np.asarray(weight.get_frame(n)[0]))
    merged = other.std.MaskedMerge(layer, alpha)
    changed = 0
    with open_source(tmp_path / "out.mp4") as reader:
        for n, frame in enumerate(reader):
            green = np.asarray(merged.get_frame(n)[1]) * 255
            assert np.abs(green - frame.planes[0]).max() < 0.52
            changed += not np.array_equal(frame.planes[0], made[n][..., 1])
    assert changed >= 6


def test_the_layer_of_vapoursynth_shows_the_nearer_frame_where_content_is_replaced(vs, tmp_path):
    network = StaticMaskNet(StaticConfig(replaced=True))
    for parameter in network.parameters():
        parameter.data.zero_()
    network.head.bias.data[4:] = 9.0
    save_weights(tmp_path / "replaced.safetensors", network)
    source, _ = films(tmp_path)
    clip = clip_of(vs, source, 12)
    layer = static_layer(clip, 4, mask=tmp_path / "replaced.safetensors", device="cpu")
    for n, nearer in enumerate((0, 0, 0, 1, 1)):
        assert np.array_equal(np.asarray(layer.get_frame(n)[1]), np.asarray(clip.get_frame(nearer)[1]))


def test_the_mask_of_vapoursynth_is_zero_over_a_cut_and_one_between_equal_frames(vs):
    still = moving(vs, 2)[0].std.Loop(4)
    clip = still[:2] + still[2].std.SetFrameProps(_SceneChangePrev=1) + still[3]
    weight = static_mask(clip, device="cpu")
    assert [float(np.asarray(weight.get_frame(n)[0]).mean()) for n in range(4)] == [1, 0, 1, 0]


@pytest.mark.parametrize(("plugin", "given"), [("ort", {}), ("ov", {"config": exact_openvino})])
def test_the_stacked_mask_runs_in_vs_mlrt(vs, tmp_path, plugin, given):
    if not hasattr(vs.core, plugin):
        pytest.skip(f"vs-mlrt's plugin {plugin} is not installed")
    from maskvfi import load_static
    from maskvfi.runtimes.export import export

    path, network = tmp_path / "stacked.onnx", load_static("static-s")
    export("static-s", path, layout="stacked")
    clip = moving(vs, 3)
    following = clip[1:] + clip[-1]
    probability = getattr(vs.core, plugin).Model([clip, following], network_path=str(path), **given)
    for n in range(2):
        start, end = (torch.from_numpy(np.stack(frame(4 * k).planes))[None] for k in (n, n + 1))
        with torch.inference_mode():
            wanted = network(start, end)[0, 0].numpy()
        assert np.abs(np.asarray(probability.get_frame(n)[0]) - wanted).max() < 2e-3
