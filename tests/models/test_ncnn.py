"""The ncnn ports' files: the network they hold, and what ncnn itself makes of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ncnn_port import network_like, write_port

from maskvfi import IFNet, WeightsError, load_vfi
from maskvfi.models.rife import find_variant

FORMS = ("4.0", "4.2", "4.5", "4.6", "4.7", "4.12.lite", "4.14.lite", "4.15.lite", "4.18", "4.21", "4.25")


@pytest.mark.parametrize("version", FORMS)
def test_every_form_is_read_as_the_network_that_it_was(tmp_path, version):
    network = network_like(version)
    read = load_vfi(write_port(tmp_path, network))
    frames = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)).split(1)
    with torch.no_grad():
        assert torch.equal(read(*frames).frame, network(*frames).frame)


def test_a_full_size_port_is_told_by_its_shapes(tmp_path):
    for version in ("4.12.lite", "4.15.lite"):
        assert load_vfi(write_port(tmp_path, IFNet(find_variant(version)))).variant == find_variant(version)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("version", ["4.0", "4.6", "4.14.lite", "4.25"])
def test_ncnn_computes_what_our_network_read_from_the_same_files_does(tmp_path, version, folded, half):
    ncnn = pytest.importorskip("ncnn")
    folder = write_port(tmp_path, network_like(version), half, folded)
    blocks = load_vfi(folder).blocks
    net = ncnn.Net()
    for switch in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, switch, False)
    assert net.load_param(str(folder / "flownet.param")) == 0
    assert net.load_model(str(folder / "flownet.bin")) == 0
    for index, block in enumerate(blocks):
        x = torch.rand(
            1, block.conv0[0][0].in_channels, 16, 24, generator=torch.Generator().manual_seed(index)
        )
        with torch.no_grad():
            seen = block.conv0(x)
            moved = block.convblock(seen)
            head = block.lastconv if block.deconv else block.lastconv[0]
            ours = head(moved + seen if block.skip else moved)[0].numpy()
        with net.create_extractor() as extractor:
            extractor.input(f"in{index}", ncnn.Mat(x[0].numpy()))
            _, theirs = extractor.extract(f"out{index}")
            assert np.abs(np.array(theirs) - ours).max() < 1e-4 * np.abs(ours).max()


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda param, data: ("", data), "not an ncnn graph"),
        (lambda param, data: (param.replace("7767517", "1"), data), "not an ncnn graph"),
        (lambda param, data: (param, data[:-4]), "does not hold what layer"),
        (lambda param, data: (param, data + b"more"), "not as long as"),
        (lambda param, data: (param, data[:0]), "does not hold"),
        (lambda param, data: (param.replace("0=8", "0=-8"), data), "does not hold"),
        (lambda param, data: (param.replace("0=8", "0=99999999999"), data), "does not hold"),
        (lambda param, data: (param + "Nonsense x\n", data), "a line that is no layer"),
        (lambda param, data: (param + "ReLU r 1 1 nowhere y\n", data), "what is not there"),
        (lambda param, data: (param + "Input again 0 1 in0\n", data), "what is not there"),
        (lambda param, data: (param, b"\x38\x4b\x0d\x00" + data[4:]), "quantised"),
        (lambda param, data: ("7767517\n1 1\nInput i 0 1 x\n", b""), "no RIFE 4.x network"),
    ],
)
def test_damaged_and_foreign_ports_are_refused_in_one_line(tmp_path, change, cause):
    folder = write_port(tmp_path / "port", network_like("4.6"), folded=True)
    param, data = folder / "flownet.param", folder / "flownet.bin"
    text, numbers = change(param.read_text(), data.read_bytes())
    param.write_text(text)
    data.write_bytes(numbers)
    with pytest.raises(WeightsError, match=cause) as caught:
        load_vfi(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_port_is_said_to_be_none(tmp_path):
    with pytest.raises(WeightsError, match=r"a folder without flownet\.param"):
        load_vfi(Path(tmp_path))
