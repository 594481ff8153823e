"""HDR10 metadata from the source to the output."""

from fractions import Fraction

import pytest
from clips import LOSSLESS, copy, digest, make_clip, packets

from maskvfi.video import VideoReader, VideoWriter

MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"


@pytest.mark.parametrize("codec", ["libx265", "libx264", "libsvtav1"])
def test_hdr10_metadata_is_kept(tmp_path, codec):
    options = {
        "x265-params": f"log-level=none:master-display={MASTERING}:max-cll=1000,400",
        "preset": "ultrafast",
    }
    source = make_clip(
        tmp_path / "a.mp4", codec="libx265", pix_fmt="yuv420p10le", options=options, colour=(9, 1, 9, 16)
    )
    target = tmp_path / "b.mp4"
    assert (
        copy(source, target, codec=codec, options={"preset": "10" if "av1" in codec else "ultrafast"}) == []
    )
    with VideoReader(target) as reader:
        hdr = reader.info.hdr
    assert hdr.content_light == (1000, 400)
    assert hdr.chromaticities == ((13250, 34500), (7500, 3000), (34000, 16000), (15635, 16450))
    assert hdr.luminance == (10000000, 50)


def test_an_encoder_without_hdr10_metadata_is_named(tmp_path):
    options = {"x265-params": f"log-level=none:master-display={MASTERING}", "preset": "ultrafast"}
    source = make_clip(tmp_path / "a.mp4", codec="libx265", pix_fmt="yuv420p10le", options=options)
    assert any("ffv1 cannot write HDR10" in line for line in copy(source, tmp_path / "b.mkv", codec="ffv1"))


@pytest.mark.parametrize(
    ("target", "codec", "frames"), [("b.mkv", "ffv1", 8), ("b.mp4", "libx264", 99), ("b.mp4", "libx265", 6)]
)
def test_an_hdr10_film_of_variable_rate_comes_back_bit_by_bit(dev_clips, tmp_path, target, codec, frames):
    source = dev_clips / "orig_tracks_hdr10_vfr_aac.mp4"
    options = {**LOSSLESS[codec], **({} if codec == "ffv1" else {"preset": "ultrafast"})}
    with VideoReader(source) as reader:
        sent = []
        with VideoWriter(
            tmp_path / target,
            reader.info,
            rate=reader.info.rate,
            codec=codec,
            options=options,
            copy_from=source,
        ) as writer:
            for _, frame in zip(range(frames), reader, strict=False):
                sent.append((frame.pts, digest(frame)))
                writer.write(frame)
    lost = "HDR10+ metadata of each frame cannot be written: left out" in writer.warnings
    assert lost == (codec != "libx265")
    with VideoReader(tmp_path / target) as back:
        got = [(frame.pts, digest(frame)) for frame in back]
        assert back.info.colour == reader.info.colour
        if codec != "ffv1":
            assert back.info.hdr.chromaticities == reader.info.hdr.chromaticities
            assert back.info.hdr.content_light == reader.info.hdr.content_light == (1000, 200)
            assert [p for p, _ in got] == [p for p, _ in sent]
    assert [d for _, d in got] == [d for _, d in sent]
    assert max(abs(a - b) for (a, _), (b, _) in zip(sent, got, strict=True)) <= Fraction(1, 2000)
    assert [d for _, d in packets(tmp_path / target, "audio")] == [d for _, d in packets(source, "audio")]
