"""The nodes, declared once: both of the server's schemas, V1 and V3, are made from these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from maskvfi.integrations.comfyui import server
from maskvfi.integrations.comfyui.images import interpolate_images, mask_of_images, protect_images
from maskvfi.integrations.comfyui.networks import Networks
from maskvfi.integrations.comfyui.video import interpolate_video, protect_video
from maskvfi.options import FrameOptions, OptionField, Options, option_fields
from maskvfi.weights.locate import list_weights

CATEGORY = "maskvfi"
NETWORKS = "MASKVFI"  # the type of the networks' socket
ALIASES = ("rife", "frame interpolation", "interpolate frames", "vfi", "slow motion", "frame rate", "fps")
PROTECT_ALIASES = ("still pixels", "subtitles", "hud", "watermark", "rife", "film", "gimm")
BY_LOADER = ("scale", "ensemble", "threshold", "feather", "static", "tile", "precision", "runtime")
BY_SCENE = ("scene_cut", "duplicates", "on_cut")
BY_ENCODER = ("codec", "crf", "preset", "pix_fmt")


@dataclass(frozen=True, kw_only=True)
class Socket:
    """An input or output of a node.

    Attributes:
        name: The parameter, or what an output is called.
        kind: The server's type: IMAGE, MASK, VIDEO, INT, FLOAT, BOOLEAN, STRING, COMBO or NETWORKS.
        tooltip: One line that describes it.
        default: The value of a widget.
        low, high, step: The limits of a number, if there are some.
        choices: The values of a COMBO.
        optional: Whether it may be left open.
        advanced: Whether the server may fold it away.
    """

    name: str
    kind: str
    tooltip: str = ""
    default: Any = None
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    advanced: bool = False


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node.

    Attributes:
        id: Its name in saved graphs.
        title: Its name on the screen.
        description: What it does.
        aliases: Other words to find it by.
        inputs: Makes its inputs; the weights that there are may change while the server runs.
        outputs: What `work` returns, in this order.
        work: Takes the inputs by name and returns a tuple.
    """

    id: str
    title: str
    description: str
    aliases: tuple[str, ...]
    inputs: Callable[[], list[Socket]]
    outputs: tuple[Socket, ...]
    work: Callable[..., tuple[Any, ...]]


def _options(*names: str, advanced: bool = True) -> Iterator[Socket]:
    """Inputs for options, by their names, in this order."""
    known = {each.name: each for each in option_fields(Options)}
    return (_socket(known[name], advanced) for name in names)


def _socket(each: OptionField, advanced: bool) -> Socket:
    shared: dict[str, Any] = {"name": each.name, "optional": True, "advanced": advanced}
    if each.choices:
        return Socket(kind="COMBO", tooltip=each.help, default=each.default, choices=each.choices, **shared)
    if bool in each.types:
        return Socket(kind="BOOLEAN", tooltip=each.help, default=each.default, **shared)
    number = {int: ("INT", 1), float: ("FLOAT", 0.01)}
    found = next((number[kind] for kind in (int, float) if kind in each.types), None)
    if found is None or isinstance(each.default, str):
        return Socket(kind="STRING", tooltip=each.help, default=each.default or "", **shared)
    kind, step = found
    step = each.low if kind == "FLOAT" and each.low else step  # the server rounds to multiples of the step
    if each.default is None:
        unset = _unset(each)
        tooltip = f"{each.help} {unset} leaves it out."
        return Socket(
            kind=kind, tooltip=tooltip, default=unset, low=unset, high=each.high or 1000, step=0.001, **shared
        )
    return Socket(
        kind=kind, tooltip=each.help, default=each.default, low=each.low, high=each.high, step=step, **shared
    )


def _unset(each: OptionField) -> float:
    """The number that leaves out an option without a default: widgets cannot be empty."""
    return -1 if each.low == 0 else 0


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    """Option values without those that are left out."""
    empty = {each.name: ("", None, _unset(each)) for each in option_fields(Options) if each.default is None}
    return {name: value for name, value in fields.items() if value not in empty.get(name, ())}


def _timed(fields: dict[str, Any]) -> dict[str, Any]:
    """The same, where a frame rate replaces the factor."""
    given = _given(fields)
    if "fps" in given or "slow" in given:
        given.pop("factor", None)
    return given


def _factor(tooltip: str) -> Socket:
    return Socket(name="factor", kind="INT", tooltip=tooltip, default=2, low=1, high=64, step=1)


def _networks(tooltip: str = "From maskvfi: load networks.") -> Socket:
    return Socket(name="networks", kind=NETWORKS, tooltip=tooltip)


def _per_second(name: str, tooltip: str) -> Socket:
    return Socket(
        name=name, kind="FLOAT", tooltip=tooltip, default=0, low=0, high=1000, step=0.001, optional=True
    )


def _painted() -> Iterator[Socket]:
    yield Socket(
        name="protect",
        kind="MASK",
        tooltip="What is white is always copied: one mask, or one for each image.",
        optional=True,
    )
    yield Socket(
        name="release",
        kind="MASK",
        tooltip="What is white is always warped: one mask, or one for each image.",
        optional=True,
    )


def _loader_inputs() -> list[Socket]:
    files = list(list_weights())
    vfi = [file.name for file in files if file.kind == "vfi"] + list(server.weights_files())
    masks = [file.name for file in files if file.kind == "static"]
    known = {each.name: each for each in option_fields(FrameOptions)}
    return [
        Socket(
            name="vfi",
            kind="COMBO",
            tooltip="Interpolation weights: our own, downloaded ones, and files of models/frame_interpolation.",
            default=known["vfi"].default,
            choices=tuple(vfi),
        ),
        Socket(
            name="mask",
            kind="COMBO",
            tooltip='Weights of the mask that says what stands still; "off" for plain interpolation.',
            default=known["mask"].default,
            choices=(*masks, "off"),
        ),
        *_options(*BY_LOADER),
    ]


def _load(vfi: str, mask: str, **fields: Any) -> tuple[Networks]:
    return (Networks(FrameOptions.of(None, {"vfi": vfi, "mask": mask} | _given(fields))),)


def _interpolate_inputs() -> list[Socket]:
    return [
        _networks(),
        Socket(name="images", kind="IMAGE", tooltip="Frames of a video in their order."),
        _factor("N images become (N-1)*factor+1."),
        _per_second("fps", "Frames per second of the result, instead of the factor. 0 leaves it out."),
        _per_second("rate", "Frames per second of the images; only fps needs it."),
        *_painted(),
        *_options("loop", *BY_SCENE),
    ]


def _interpolate(networks: Networks, images: Tensor, **fields: Any) -> tuple[Tensor]:
    apart = {name: fields.pop(name) for name in ("rate", "protect", "release") if name in fields}
    return (interpolate_images(networks, images, **apart, **_timed(fields)),)


def _video_inputs() -> list[Socket]:
    return [
        _networks(),
        Socket(name="video", kind="VIDEO", tooltip="It is read and written frame by frame."),
        _factor("factor-1 new frames in every gap, unless fps or slow is given."),
        *_options("fps", "slow", advanced=False),
        *_options("loop", *BY_SCENE, *BY_ENCODER),
    ]


def _interpolate_video(networks: Networks, video: Any, **fields: Any) -> tuple[Any, str]:
    return interpolate_video(networks, video, **_timed(fields))


def _protect_inputs() -> list[Socket]:
    return [
        _networks("From maskvfi: load networks; only the mask is used."),
        Socket(name="images", kind="IMAGE", tooltip="What the other node was given."),
        Socket(name="interpolated", kind="IMAGE", tooltip="What it made of them: (N-1)*k+1 or N*k images."),
        *_painted(),
        *_options("scene_cut"),
    ]


def _protect(networks: Networks, images: Tensor, interpolated: Tensor, **fields: Any) -> tuple[Tensor]:
    return (protect_images(networks, images, interpolated, **fields),)


def _protect_video_inputs() -> list[Socket]:
    return [
        _networks("From maskvfi: load networks; only the mask is used."),
        Socket(name="video", kind="VIDEO", tooltip="What the other program was given."),
        Socket(
            name="interpolated",
            kind="VIDEO",
            tooltip="What it made of it, at any higher rate: of the same size, or 2, 3 ... times as large.",
        ),
        *_options("scene_cut", *BY_ENCODER),
    ]


def _protect_video(networks: Networks, video: Any, interpolated: Any, **fields: Any) -> tuple[Any, str]:
    return protect_video(networks, video, interpolated, **_given(fields))


def _mask_inputs() -> list[Socket]:
    return [_networks(), Socket(name="images", kind="IMAGE", tooltip="N frames in their order.")]


def _mask(networks: Networks, images: Tensor) -> tuple[Tensor]:
    return (mask_of_images(networks, images),)


VIDEO_OUTPUTS = (
    Socket(name="video", kind="VIDEO", tooltip="The new video, a temporary file of the server."),
    Socket(name="warnings", kind="STRING", tooltip="What could not be kept of the input, a line each."),
)
NODES = (
    Node(
        id="MaskvfiLoad",
        title="maskvfi: load networks",
        description="Loads an interpolation network and the network that says what stands still.",
        aliases=("rife", "vfi", "load frame interpolation model", "static mask"),
        inputs=_loader_inputs,
        outputs=(_networks("For the other maskvfi nodes."),),
        work=_load,
    ),
    Node(
        id="MaskvfiInterpolate",
        title="maskvfi: interpolate images",
        description="Raises the frame rate of a batch of images. What stands still is copied, the rest is warped; "
        "nothing is interpolated over a cut.",
        aliases=ALIASES,
        inputs=_interpolate_inputs,
        outputs=(Socket(name="images", kind="IMAGE", tooltip="The images and those between them."),),
        work=_interpolate,
    ),
    Node(
        id="MaskvfiInterpolateVideo",
        title="maskvfi: interpolate video",
        description="Raises the frame rate of a video file. Frames are not held in memory; sound, subtitles and "
        "chapters are kept.",
        aliases=ALIASES,
        inputs=_video_inputs,
        outputs=VIDEO_OUTPUTS,
        work=_interpolate_video,
    ),
    Node(
        id="MaskvfiProtect",
        title="maskvfi: protect another node's images",
        description="Puts still pixels of the source images back into what another interpolation node made of them.",
        aliases=PROTECT_ALIASES,
        inputs=_protect_inputs,
        outputs=(Socket(name="images", kind="IMAGE", tooltip="As many images as were interpolated."),),
        work=_protect,
    ),
    Node(
        id="MaskvfiProtectVideo",
        title="maskvfi: protect another program's video",
        description="Puts still pixels of a video back into another program's version of it, from file to file.",
        aliases=PROTECT_ALIASES,
        inputs=_protect_video_inputs,
        outputs=VIDEO_OUTPUTS,
        work=_protect_video,
    ),
    Node(
        id="MaskvfiStaticMask",
        title="maskvfi: what stands still",
        description="Computes for every two neighbouring images which pixels stand still between them.",
        aliases=("static mask", "motion mask", "still pixels"),
        inputs=_mask_inputs,
        outputs=(Socket(name="mask", kind="MASK", tooltip="N-1 masks; white stands still."),),
        work=_mask,
    ),
)
