"""Pictures that are computed band by band are those that are computed at once."""

import pytest
import torch

from maskvfi.ops import bands
from maskvfi.ops.grain import mix_still
from maskvfi.synthesis.copied import copied_pixels
from maskvfi.video.pixel_format import SITINGS, Colour, PixelFormat
from maskvfi.video.planes import planes_to_rgb


@pytest.fixture
def both(monkeypatch):
    def compute(work):
        found = []
        for pixels in (1 << 40, 20_000):
            monkeypatch.setattr(bands, "BAND_PIXELS", pixels)
            found.append(work())
        assert len(list(bands.bands(264, 320, 32, 8))) > 3
        return found

    return compute


def noise(*size: int) -> torch.Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(sum(size)))


def test_grain_is_the_same(both):
    start = noise(1, 3, 264, 320) * 0.2 + 0.4
    end = start + 0.05 * noise(1, 3, 265, 320)[..., 1:, :]
    end[..., :16, :] = start[..., :16, :]  # the first rows take their grain from the last ones
    whole, banded = both(lambda: mix_still(start, end, 0.5))
    assert (whole - start.lerp(end, 0.5)).abs().max() > 1e-3  # there is grain
    torch.testing.assert_close(banded, whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize("siting", SITINGS)
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "yuv410p", "yuva420p", "gray", "gbrp"])
def test_colours_are_the_same(both, name, siting):
    fmt = PixelFormat.parse(name)
    shapes = fmt.plane_shapes(317, 263)
    planes = [(noise(*shape) * (2**fmt.depth - 1)).round() for shape in shapes]
    whole, banded = both(lambda: planes_to_rgb(planes, fmt, Colour("bt709", False, siting)))
    assert torch.equal(whole, banded)


def test_copied_pixels_are_the_same(both):
    replaced = noise(1, 1, 264, 320) * 0.5
    replaced[..., 100:140, 50:90] = 1.0
    replaced[..., 150:152, :] = 0.995
    protect = (noise(1, 1, 264, 321)[..., 1:] > 0.9).float()
    whole, banded = both(lambda: copied_pixels(noise(1, 1, 264, 320), replaced, protect=protect))
    assert whole.replaced.any()
    assert torch.equal(whole.weight, banded.weight)
    assert torch.equal(whole.replaced, banded.replaced)
