"""A narrow network out of a wide one."""

from dataclasses import replace

import pytest
import torch

from distill.training.prune import pruned
from maskvfi.models.rife import IFNet, find_variant
from maskvfi.models.rife.variants import VFI_M, VFI_S


def test_of_a_wide_network_the_strongest_filters_are_kept():
    torch.manual_seed(0)
    wide = IFNet(replace(VFI_M, scales=VFI_S.scales, shrink=VFI_S.shrink))
    for block, width in zip(wide.blocks, VFI_S.channels, strict=True):
        # All but the first channels of every layer are as good as absent.
        for layer, kept in (
            (block.conv0[0], width // 2),
            (block.conv0[1], width),
            *((x, width) for x in block.convblock),
        ):
            layer[0].weight.data[kept:] *= 1e-6
            layer[0].bias.data[kept:] = 0
    small = pruned(wide, VFI_S).eval()
    a, b = torch.rand(2, 1, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(small(a, b).frame, wide.eval()(a, b).frame, atol=1e-4, rtol=0)


def test_only_plain_blocks_can_be_pruned():
    with pytest.raises(ValueError, match="only networks with plain blocks can be pruned"):
        pruned(IFNet(find_variant("4.25.lite")), VFI_S)


@pytest.mark.parametrize("wide", [VFI_M, VFI_S])
def test_a_network_that_is_not_narrower_is_refused(wide):
    with pytest.raises(ValueError, match="not narrower"):
        pruned(IFNet(VFI_S), wide)
