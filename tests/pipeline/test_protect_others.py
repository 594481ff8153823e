"""Other programs' versions of a real clip with overlays are better after `protect`: the script of the docs, small."""

import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from clips import packets, read

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "protect_others.py"
BBB, PUCK = "bbb_rope_720p.mp4", "neon_puck.mp4"
# dB inside the overlays, at least. A cross-fade of equal pixels is right already, so protect has nothing to win there;
# DIS bends few of them on the rope.
GAIN = {"minterpolate": (BBB, 1.0), "dis": (PUCK, 1.0), "blend-x264": (BBB, 1.0), "blend": (BBB, -0.1)}


@pytest.fixture(scope="module")
def script():
    if not shutil.which("ffmpeg"):
        pytest.skip("there is no ffmpeg here, which makes the other programs' versions")
    spec = spec_from_file_location("protect_others", SCRIPT)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("method", GAIN)
def test_overlays_gain_and_nothing_else_loses(script, dev_clips, tmp_path, method):
    clip, gain = GAIN[method]
    found = script.measure(dev_clips / clip, tmp_path, method, frames=9, width=320, stride=2)
    (before, after), (other_before, other_after) = found["overlays"], found["elsewhere"]
    assert after - before >= gain
    assert other_after - other_before >= -0.1
    made, out = tmp_path / f"{method}_made.mkv", tmp_path / f"{method}_out.mkv"
    assert packets(out, "audio") == packets(made, "audio")
    assert packets(out, "audio")
    assert [time for time, *_ in read(out)] == [time for time, *_ in read(made)]
