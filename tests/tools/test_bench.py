"""What is measured is what the options ask for."""

from maskvfi.models.rife import IFNet
from maskvfi.options import FrameOptions
from maskvfi.tools import bench


def test_both_networks_are_measured_with_scale_and_ensemble(monkeypatch):
    whole, seen = IFNet.forward, {}

    def noted(self, img0, img1, timestep=0.5, scale=1.0, ensemble=False):
        seen.setdefault(type(self).__name__, set()).add((scale, ensemble))
        return whole(self, img0, img1, timestep, scale, ensemble)

    whole_clip = bench.render_clip
    monkeypatch.setattr(IFNet, "forward", noted)
    monkeypatch.setattr(bench, "render_clip", lambda path, _: whole_clip(path, frames=3))
    options = FrameOptions(vfi="4.6", mask=None, device="cpu", runtime="torch", scale=0.5, ensemble=True)
    found = bench.run_bench(options, [(96, 64)], repeats=1)
    assert seen == {"IFNet": {(0.5, True)}, "PlainIFNet": {(0.5, True)}}
    assert found.sizes[0].difference < 1e-3
