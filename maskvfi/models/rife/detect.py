"""Find the RIFE 4.x variant of a state dict from its keys and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from maskvfi.models.rife.variants import HEAD_PLANES, VARIANTS, VFI_S, Variant
from maskvfi.ops.warp import BILINEAR

_NOT_FOR_INFERENCE = ("contextnet.", "unet.", "teacher.", "caltime.", "block_tea.")
_WRAPPER = re.compile(r"^(?:(?:module|flownet|model|_orig_mod)\.)+")
_BLOCK = re.compile(r"^blocks\.(\d+)\.")
_ENCODER_NAMES = (("0", "1"), ("0", "2", "4", "6"), ("cnn0", "cnn1", "cnn2", "cnn3"))


def clean(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict's tensors as in an official checkpoint and drop those that only training needs.

    Checkpoints from elsewhere put the network inside `module.`, `flownet.`, `model.` or `_orig_mod.`, or call its
    blocks `blocks.N.`

    Args:
        state: Tensors by name.

    Returns:
        The state dict under official names.
    """
    named = {_BLOCK.sub(r"block\1.", _WRAPPER.sub("", key)): value for key, value in state.items()}
    return {key: value for key, value in named.items() if not key.startswith(_NOT_FOR_INFERENCE)}


def is_rife(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict looks like that of a RIFE network, whatever its version."""
    return any(key.startswith("block0.") for key in clean(state))


def detect(state: Mapping[str, Tensor]) -> Variant:
    """The variant of a cleaned state dict.

    Re-hosted files rename the encoder's layers, so their names only decide between families of equal shapes.

    Args:
        state: As `clean` returns it.

    Returns:
        A variant of the table, or for other widths one of family "custom" whose scales are powers of two.

    Raises:
        ValueError: The keys are not those of a RIFE 4.x network.
    """
    try:
        found = _describe(state)
    except (KeyError, IndexError, StopIteration) as error:
        raise ValueError(f"not a RIFE 4.x state dict (looked for {error})") from None
    alike = [variant for variant in (*VARIANTS, VFI_S) if _shape_of(variant) == _shape_of(found)]
    named = [variant for variant in alike if variant.encoder_names == found.encoder_names]
    return next(iter(named + alike), found)


def rename_encoder(state: Mapping[str, Tensor], variant: Variant) -> dict[str, Tensor]:
    """Rename the encoder's layers as `variant` calls them, since re-hosted files use other names.

    Args:
        state: As `clean` returns it.
        variant: The variant whose names are wanted.

    Returns:
        The renamed state dict; the same one if its encoder has another number of layers.
    """
    present = _encoder_names(state)
    if len(present) != len(variant.encoder_names):
        return dict(state)
    names = {f"encode.{a}": f"encode.{b}" for a, b in zip(present, variant.encoder_names, strict=True)}

    def rename(key: str) -> str:
        stem, _, leaf = key.rpartition(".")
        return f"{names[stem]}.{leaf}" if stem in names else key

    return {rename(key): value for key, value in state.items()}


def _describe(state: Mapping[str, Tensor]) -> Variant:
    """The variant with the widths and layers that the tensors' names and shapes show."""
    blocks = sum(1 for index in range(16) if f"block{index}.conv0.1.0.bias" in state)
    if not blocks:
        raise KeyError("block0.conv0.1.0.bias")
    channels = tuple(state[f"block{i}.conv0.1.0.bias"].shape[0] for i in range(blocks))
    res = "block0.convblock.0.beta" in state
    prelu = "block0.conv0.0.1.weight" in state
    trunk_weight = state["block0.convblock.0.conv.weight" if res else "block0.convblock.0.0.weight"]
    head_bias = state[
        "block0.lastconv.0.bias" if "block0.lastconv.0.bias" in state else "block0.lastconv.bias"
    ]
    planes = head_bias.shape[0]
    if planes not in HEAD_PLANES.values():
        known = ", ".join(map(str, sorted(HEAD_PLANES.values())))
        raise KeyError(f"block0.lastconv of {known} planes, not {planes}")
    head = next(name for name, count in HEAD_PLANES.items() if count == planes)
    names = _encoder_names(state)
    return Variant(
        family="custom",
        versions=(),
        channels=channels,
        scales=tuple(2**i for i in reversed(range(blocks))),
        head=head,
        encoder=state[f"encode.{names[-1]}.bias"].shape[0] if names else 0,
        encoder_mid=state[f"encode.{names[0]}.bias"].shape[0] if names else 0,
        encoder_names=names,
        trunk="res" if res else "plain+skip" if prelu else "plain",
        groups=channels[0] // trunk_weight.shape[1],
        prelu=prelu,
        mask="replace" if names else "add",
        dynamic_scale=prelu,
    )


def _encoder_names(state: Mapping[str, Tensor]) -> tuple[str, ...]:
    present = {key.split(".")[1] for key in state if key.startswith("encode.")}
    return next((names for names in _ENCODER_NAMES if set(names) == present), ())


def _shape_of(variant: Variant) -> Variant:
    """The variant without what the shapes of its tensors do not depend on."""
    return replace(
        variant,
        family="",
        versions=(),
        scales=(),
        encoder_names=("",) * len(variant.encoder_names),
        dynamic_scale=False,
        shrink=1,
        sampling=BILINEAR,
    )
