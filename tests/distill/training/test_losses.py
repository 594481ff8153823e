"""Losses: they are zero for equal things, and defined when a class is missing."""

import torch

from distill.training.losses import balanced_bce, bce_dice, census, laplacian, published_l1, soft_dice


def test_losses_are_defined_when_a_class_or_everything_is_missing():
    logits = torch.randn(2, 1, 8, 8, requires_grad=True)
    for labels in (torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8)):
        for sure in (torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8)):
            for loss in (balanced_bce, soft_dice, published_l1, bce_dice):
                value = loss(logits, labels, sure)
                assert value.isfinite(), loss
                value.backward()
                assert logits.grad.isfinite().all(), loss


def test_the_balanced_loss_weighs_a_small_class_more_than_its_area():
    labels = torch.zeros(1, 1, 10, 10)
    labels[..., :1, :1] = 1
    sure = torch.ones_like(labels)
    miss_rare = torch.full_like(labels, -4.0)
    miss_one_common = torch.where(labels > 0, 4.0, -4.0)
    miss_one_common[..., 9, 9] = 4.0
    for power, ratio in ((1.0, 0.9), (0.8, 1.5), (0.5, 3.0)):
        rare, common = (balanced_bce(x, labels, sure, power) for x in (miss_rare, miss_one_common))
        assert rare > ratio * common


def test_the_laplacian_loss_is_zero_only_for_equal_pictures():
    a = torch.rand(1, 3, 33, 47)
    assert laplacian(a, a) == 0
    assert laplacian(a, a + 0.1) > 0


def test_the_census_sees_shape_and_not_brightness():
    picture = torch.rand(1, 3, 32, 32)
    assert census(picture, picture) == 0
    assert census(picture, picture + 0.2) < 1e-3
    assert census(picture, picture.flip(3)) > 0.2
