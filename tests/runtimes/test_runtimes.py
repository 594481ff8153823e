"""Every runtime makes the frames that torch makes."""

import dataclasses
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import which

import pytest
import torch
from commands import run
from narrow import CPU, frames, network

import maskvfi
from maskvfi.models.rife import IFNet, find_variant
from maskvfi.runtimes import choose_runtime, on_device, with_runtime
from maskvfi.runtimes.base import PACKAGES
from maskvfi.runtimes.device import choose_mask_dtype, choose_precision


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder for graphs."""
    monkeypatch.setenv("MASKVFI_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """The folder for graphs of tests that only compute: what one has converted the next one loads."""
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture
def shared_cache(filled, monkeypatch):
    monkeypatch.setenv("MASKVFI_HOME", str(filled))


@pytest.fixture
def openvino(cache):
    return pytest.importorskip("openvino")


@pytest.mark.parametrize("runtime", sorted(PACKAGES))
def test_a_runtime_makes_the_frames_of_torch_at_any_size(shared_cache, runtime):
    pytest.importorskip(PACKAGES[runtime])
    plain = network()
    compiled = with_runtime(plain, runtime, CPU, torch.float32)
    for height, width, batch, time in ((64, 96, 1, 0.5), (101, 67, 1, 0.2), (70, 40, 2, 0.9)):
        img0, img1 = frames(height, width, batch)
        with torch.inference_mode():
            ours, theirs = (x(img0, img1, time) for x in (compiled, plain))
        torch.testing.assert_close(ours.frame, theirs.frame, atol=1e-3, rtol=0)
        torch.testing.assert_close(ours.flow, theirs.flow, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("runtime", sorted(PACKAGES))
def test_a_size_that_is_expected_changes_no_frame(shared_cache, runtime):
    pytest.importorskip(PACKAGES[runtime])
    plain = network()
    compiled = with_runtime(plain, runtime, CPU, torch.float32)
    with torch.inference_mode():
        for expected, given in (((70, 90), (70, 90)), ((70, 90), (40, 64)), ((101, 67), (101, 67))):
            compiled.expect(*expected)
            img0, img1 = frames(*given)
            ours, theirs = (x(img0, img1, 0.5) for x in (compiled, plain))
            torch.testing.assert_close(ours.frame, theirs.frame, atol=1e-3, rtol=0)


@pytest.mark.skipif(not (which("g++") or which("clang++")), reason="torch.compile needs a C++ compiler")
def test_torch_compiles_the_frames_it_expects_and_no_others():
    torch._dynamo.utils.counters.clear()
    torch.manual_seed(0)
    small = {"channels": (8, 8), "scales": (4, 2), "encoder_mid": 4}
    plain = IFNet(dataclasses.replace(find_variant("4.25"), **small)).eval()
    compiled = with_runtime(plain, "compile", CPU, torch.float32)
    compiled.expect(64, 100)
    with torch.inference_mode():
        for size in ((64, 100), (32, 64)):
            img0, img1 = frames(*size)
            ours, theirs = (x(img0, img1, 0.3) for x in (compiled, plain))
            torch.testing.assert_close(ours.frame, theirs.frame, atol=1e-3, rtol=0)
    counted = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert counted == 2, "encoder and blocks, for one size alone"


def test_a_half_precise_network_has_its_channels_last_and_stays_near():
    img0, img1 = frames(96, 128)
    plain = network()
    expected = plain(img0, img1, 0.5).frame
    interpolator = maskvfi.Interpolator(plain, "static-s", "cpu", "bf16", runtime="torch")
    first, second = (layer[0].weight for layer in interpolator.vfi.blocks[0].conv0)
    assert (first.dtype, second.dtype) == (torch.float32, torch.bfloat16)
    assert first.is_contiguous(memory_format=torch.channels_last)
    assert second.is_contiguous(memory_format=torch.channels_last)
    interpolator.mask = None
    assert (interpolator(img0, img1, 0.5) - expected).abs().mean() < 0.01


def test_bfloat16_tells_near_times_apart():
    """In bfloat16 itself 0.5 and 0.501 are the same number."""
    half = on_device(maskvfi.load_vfi("vfi-s"), CPU, torch.bfloat16).eval()
    img0, img1 = frames(64, 96)
    with torch.inference_mode():
        assert not torch.equal(half(img0, img1, 0.5).flow, half(img0, img1, 0.501).flow)


@pytest.mark.parametrize("width", [8, 20, 32, 64])
def test_narrow_frames_are_near_in_bfloat16(width):
    """What torch leaves unwritten (`maskvfi/runtimes/narrow.py`) is the NaN of freed memory here."""
    exact, rounded = (maskvfi.Interpolator("vfi-s", "static-s", "cpu", name) for name in ("fp32", "bf16"))
    img0, img1 = frames(320, width)
    for _ in range(3):
        unwritten = [torch.full((1 << size,), torch.nan) for size in range(6, 20) for _ in range(8)]
        del unwritten
        made, masked = rounded(img0, img1, 0.5), rounded.weight(rounded.view(img0), rounded.view(img1))
        assert (made - exact(img0, img1, 0.5)).abs().mean() < 0.01
        assert masked is not None
        assert masked.isfinite().all()


def test_a_rounded_network_made_in_inference_mode_works_outside_of_it():
    with torch.inference_mode():
        half = on_device(network(), CPU, torch.bfloat16)
    half(*frames(64, 96), 0.5).frame.sum().backward()
    assert on_device(half, CPU, torch.bfloat16) is half


def test_a_converted_graph_is_found_again_and_other_weights_get_their_own(openvino, tmp_path):
    img0, img1 = frames(64, 64)
    plain = network()
    for _ in range(2):
        with_runtime(plain, "openvino", CPU, torch.float32)(img0, img1, 0.5)
        assert len(list(tmp_path.rglob("*.xml"))) == 2  # encoder and blocks
    plain.blocks[0].lastconv[0].bias.data += 1
    changed = with_runtime(plain, "openvino", CPU, torch.float32)(img0, img1, 0.5)
    assert len(list(tmp_path.rglob("*.xml"))) == 3  # the encoder is the same
    torch.testing.assert_close(changed.flow, plain(img0, img1, 0.5).flow, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("runtime", sorted(PACKAGES))
def test_a_damaged_graph_in_the_cache_is_converted_anew(cache, runtime):
    pytest.importorskip(PACKAGES[runtime])
    img0, img1 = frames(64, 64)
    plain = network()
    before = with_runtime(plain, runtime, CPU, torch.float32)(img0, img1, 0.5).frame
    graphs = [path for suffix in ("xml", "onnx") for path in cache.rglob(f"*.{suffix}")]
    assert graphs
    for path in graphs:
        path.write_bytes(path.read_bytes()[:500])
    again = with_runtime(plain, runtime, CPU, torch.float32)(img0, img1, 0.5).frame
    torch.testing.assert_close(again, before)


@pytest.mark.parametrize("runtime", sorted(PACKAGES))
def test_without_a_cache_folder_that_can_be_written_graphs_last_as_long_as_the_process(tmp_path, runtime):
    pytest.importorskip(PACKAGES[runtime])
    (tmp_path / "cache").write_text("no folder")
    script = f"""
import tempfile, torch
from pathlib import Path
from narrow import CPU, frames, network
from maskvfi.runtimes import with_runtime
with_runtime(network(), {runtime!r}, CPU, torch.float32)(*frames(64, 64), 0.5)
assert len([*Path(tempfile.gettempdir()).glob("maskvfi-*")]) == 1
"""
    (tmp_path / "tmp").mkdir()
    places = {"MASKVFI_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "tmp")}
    subprocess.run(
        [sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1], env=os.environ | places
    )
    assert [*(tmp_path / "tmp").glob("maskvfi-*")] == []


@pytest.mark.parametrize("runtime", sorted(PACKAGES))
def test_threads_that_share_a_network_get_their_own_frames(shared_cache, runtime):
    pytest.importorskip(PACKAGES[runtime])
    compiled = with_runtime(network(), runtime, CPU, torch.float32)
    pairs = [frames(64, 96) for _ in range(4)]
    with torch.inference_mode():
        alone = [compiled(*pair, 0.5).frame for pair in pairs]

    def many(pair: tuple[torch.Tensor, torch.Tensor]) -> list[torch.Tensor]:
        with torch.inference_mode():
            return [compiled(*pair, 0.5).frame for _ in range(15)]

    with ThreadPoolExecutor(len(pairs)) as pool:
        for made, expected in zip(pool.map(many, pairs), alone, strict=True):
            for frame in made:
                torch.testing.assert_close(frame, expected)


def test_bf16_is_near(shared_cache):
    pytest.importorskip("openvino")
    img0, img1 = frames(96, 128)
    plain = network()
    out = maskvfi.Interpolator(plain, None, "cpu", "bf16", runtime="openvino")(img0, img1, 0.5)
    assert (out - plain(img0, img1, 0.5).frame).abs().mean() < 0.01


@pytest.mark.parametrize(
    ("abilities", "dtype"),
    [
        ({"cpu_name": "AMD EPYC", "avx512_bf16": True}, torch.bfloat16),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True}, torch.float32),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": True}, torch.bfloat16),
        ({"cpu_name": "AMD EPYC"}, torch.float32),
    ],
)
def test_networks_are_in_bf16_where_a_processor_multiplies_it_faster(monkeypatch, abilities, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities)
    assert choose_mask_dtype("auto", CPU) == dtype
    assert choose_mask_dtype("bf16", CPU) == torch.bfloat16
    for name in ("vfi-m", "vfi-s"):
        assert choose_precision("auto", CPU, maskvfi.load_vfi(name))[1] == dtype
        assert choose_precision("fp32", CPU, maskvfi.load_vfi(name))[1] == torch.float32


def test_auto_precision_is_one_in_which_frames_are_as_good(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": "Intel Xeon", "amx_bf16": True})
    known = maskvfi.load_vfi("vfi-m")
    assert choose_precision("auto", CPU, known, "openvino")[0] == "fp32"  # its bfloat16 rounds flow
    assert choose_precision("auto", CPU, known, "onnx")[0] == "fp32"
    assert choose_precision("auto", CPU, IFNet(find_variant("4.25")))[0] == "fp32"  # not measured
    card = torch.device("cuda")
    assert choose_precision("auto", card, known)[0] == "fp16"
    assert choose_precision("auto", card, known, "onnx") == ("fp32", torch.float32)


def test_the_choice_says_why(openvino):
    for name in ("vfi-m", "vfi-s", "blend"):
        assert choose_runtime("auto", CPU, maskvfi.load_vfi(name))[0] == "torch"
    with pytest.raises(ValueError, match="from the CPU"):
        choose_runtime("openvino", torch.device("meta"), network())
    with pytest.raises(ValueError, match="changes its scales"):
        choose_runtime("openvino", CPU, IFNet(find_variant("4.0")))


def test_an_unknown_runtime_is_refused():
    with pytest.raises(
        ValueError, match="runtime must be one of auto, torch, compile, openvino, onnx, not 'tvm'"
    ):
        maskvfi.Interpolator(device="cpu", runtime="tvm")


def test_a_signal_after_networks_are_gone_is_no_crash(openvino, tmp_path):
    """Each OpenVINO core brings a signal stack: two that go in the order they came left a freed one behind."""
    program = """
import faulthandler, signal, torch
from narrow import CPU, network
from maskvfi.runtimes import with_runtime

faulthandler.enable()
handled = []
signal.signal(signal.SIGUSR1, lambda *_: handled.append(1))
frame = torch.rand(1, 3, 64, 64)
first, second = (with_runtime(network(), "openvino", CPU, torch.float32) for _ in range(2))
with torch.inference_mode():
    first(frame, frame)
    second(frame, frame)
del first
del second
signal.raise_signal(signal.SIGUSR1)
assert handled
"""
    done = run(code=program, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr


NATIVE_THREADS = """
import ctypes, torch, maskvfi
network = maskvfi.Interpolator("vfi-s", None, "cpu", runtime="openvino")
rgb, made = torch.rand(1, 3, 64, 96), []

@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def work(_):
    made.append(network(rgb, rgb.flip(3)).mean().item())

libc, thread = ctypes.CDLL(None), ctypes.c_ulong()
for _ in range(3):
    assert libc.pthread_create(ctypes.byref(thread), None, work, None) == 0
    assert libc.pthread_join(thread, None) == 0
assert len(made) == 3 and len(set(made)) == 1
"""


@pytest.mark.skipif(sys.platform != "linux", reason="starts threads by the C library of Linux")
def test_threads_that_python_did_not_start_may_compute(openvino):
    """VapourSynth's threads are such."""
    done = run(code=NATIVE_THREADS)
    assert done.returncode == 0, done.stderr
