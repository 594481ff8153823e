"""Every option of an interpolation, declared once.

The Python call, the command line, the page, a batch's jobs and the fingerprint that a resumed run checks are all made
from the fields below. A new option is one field here and the code that reads it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from fractions import Fraction
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from maskvfi.errors import OptionError
from maskvfi.paths import PathLike

DEFAULT_VFI = "vfi-m"
DEFAULT_MASK = "static-s"
OFF = "off"  # no mask (as mask=None), no cuts, no tiles
INTERLACED = ("auto", "keep", "deinterlace")
PRECISIONS = ("fp32", "fp16", "bf16")
RUNTIMES = ("torch", "compile", "openvino", "onnx")
MIN_TILE = 512  # px on a side
MAX_RATIO = 1000  # output frames per source frame at most, and source frames per output frame
Number = Fraction | float | str

O = TypeVar("O", bound="OptionGroup")  # noqa: E741


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """Declare an option of an option group.

    Args:
        default: The value if none is given.
        help: One line for the command line, the page and the documentation.
        choices: The allowed values, if they can be listed.
        low, high: The smallest and the largest allowed number, if there is a limit.

    Returns:
        A dataclass field.
    """
    limits = {"help": help, "choices": choices, "low": low, "high": high}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=limits, hash=False)  # a dict has none
    return field(default=default, metadata=limits)


@dataclass(frozen=True, slots=True)
class OptionField:
    """An option as the command line and the page see it.

    Attributes:
        name: Its name in Python; the command line writes "-" for "_".
        types: The types that its value may have; with NoneType it may be left out.
        default: The value if none is given.
        help: One line that describes it.
        choices: The allowed values, or () if they cannot be listed.
        low, high: The smallest and the largest allowed number, or None.
    """

    name: str
    types: tuple[type, ...]
    default: Any
    help: str
    choices: tuple[str, ...]
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class OptionGroup:
    """Options that belong together. A wrong value raises OptionError."""

    def __post_init__(self) -> None:
        for each in option_fields(type(self)):
            value = getattr(self, each.name)
            if bool in each.types and not isinstance(value, bool):
                raise OptionError(f"{each.name} must be true or false, not {value!r}")
            if dict in each.types and not isinstance(value, Mapping):
                raise OptionError(f"{each.name} must be a dict, not {value!r}")
            if each.types == (str, type(None)) and not (value is None or isinstance(value, str)):
                raise OptionError(f"{each.name} must be text, not {value!r}")
            if os.PathLike in map(get_origin, each.types) and not _is_path(each, value):
                raise OptionError(f"{each.name} must be a path or a name, not {value!r}")
            if each.choices and value not in each.choices:
                raise OptionError(f"{each.name} must be one of {', '.join(each.choices)}, not {value!r}")
            if each.low is not None or each.high is not None:
                self._set(each.name, _in_range(each, value))

    @classmethod
    def of(cls: type[O], options: O | None, values: Mapping[str, Any]) -> O:
        """Make options from other options and values by name.

        Args:
            options: The options to start from; None starts from the defaults.
            values: Values by option name, which replace those in `options`.

        Returns:
            Options of this group.

        Raises:
            OptionError: A name is unknown, or a value is wrong.
        """
        known = [each.name for each in fields(cls)]
        for name in values:
            if name not in known:
                raise OptionError(f"there is no option {name!r}; there are {', '.join(known)}")
        return cls(**values) if options is None else replace(options, **values)

    def values_of_group(self, group: type[O]) -> dict[str, Any]:
        """The values of the options that `group` declares, by name."""
        return {each.name: getattr(self, each.name) for each in fields(group)}

    def as_group(self, group: type[O]) -> O:
        """Options of another group: the fields that both groups declare keep their values, the others have defaults."""
        names = [each.name for each in fields(group) if hasattr(self, each.name)]
        return group(**{name: getattr(self, name) for name in names})

    def to_dict(self) -> dict[str, Any]:
        """All values by name, as JSON types."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


@dataclass(frozen=True, kw_only=True)
class DecodeOptions(OptionGroup):
    """How the source is read."""

    start: Number | None = option(None, "Seconds from the first frame to begin at.")
    end: Number | None = option(None, "Seconds from the first frame to end before.")
    rate: Number | None = option(None, "Frames per second of an image folder (default 24) or a raw stream.")
    hwaccel: str | None = option(
        None, "Decode on a device, if it can: cuda, qsv, vaapi, videotoolbox ... as FFmpeg calls it."
    )
    interlaced: str = option(
        "auto",
        'Deinterlace frames that are flagged interlaced and look so ("auto"), none ("keep") or all ("deinterlace").',
        choices=INTERLACED,
    )
    strict: bool = option(
        False, "Fail if the input cannot be read to its end; by default the output holds what could be read."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("start", _seconds("start", self.start))
        self._set("end", _seconds("end", self.end))
        self._set("rate", None if self.rate is None else parse_rate(self.rate))
        start, end = self.window
        if end is not None and end <= (start or 0):
            raise OptionError(f"end must be after start, not {float(end):g} s")

    @property
    def window(self) -> tuple[Fraction | None, Fraction | None]:
        """Where the part begins and ends, in seconds from the first frame; None where the source begins or ends."""
        start, end = (None if at is None else Fraction(at) for at in (self.start, self.end))
        return start, end

    @property
    def frame_rate(self) -> Fraction | None:
        """`rate` as an exact number."""
        return None if self.rate is None else Fraction(self.rate)


@dataclass(frozen=True, kw_only=True)
class SceneOptions(OptionGroup):
    """What is found in the source: cuts and repeated frames."""

    scene_cut: str | float = option(
        "auto", 'Where a new scene begins: "auto", "off", or a threshold (27 is usual).'
    )
    duplicates: str = option(
        "keep", '"keep" repeated frames, or "resolve" them into even motion.', choices=("keep", "resolve")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scene_cut not in ("auto", OFF):
            threshold = _number("scene_cut", self.scene_cut, 'must be "auto", "off" or a threshold')
            if threshold <= 0:  # every frame would be a cut
                raise OptionError(f'scene_cut must be "off" or a threshold above 0, not {self.scene_cut!r}')
            self._set("scene_cut", threshold)


@dataclass(frozen=True, kw_only=True)
class TimeOptions(SceneOptions):
    """At which times there are output frames, and where none is interpolated."""

    factor: int | None = option(None, "Multiply the frame rate by this whole number (default 2).", low=1)
    fps: Number | None = option(None, "An even frame rate in place of a factor: 60, 59.94, 60000/1001.")
    slow: Number | None = option(
        None,
        "Slow motion: 4 makes the video four times as long, at the same frame rate.",
    )
    loop: bool = option(
        False, "Also make frames between the last frame and the first, for clips that repeat."
    )
    on_cut: str = option(
        "hold", 'At a cut "hold" the earlier frame or "blend" over it.', choices=("hold", "blend")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.factor is not None and self.fps is not None:
            raise OptionError("give a factor or a frame rate, not both")
        self._set("fps", None if self.fps is None else parse_rate(self.fps))
        self._set("slow", None if self.slow is None else _positive("slow", self.slow))

    @property
    def stretch(self) -> Fraction:
        """The duration of the output divided by that of the source."""
        return Fraction(1) if self.slow is None else Fraction(self.slow)


@dataclass(frozen=True, kw_only=True)
class MaskOptions(OptionGroup):
    """Which pixels count as still, and how that is computed."""

    mask: PathLike | None = option(
        DEFAULT_MASK, 'Weights of the mask network: a name, a path, or "off" for none.'
    )
    protect: PathLike | None = option(
        None, "A painted mask of the frame's size: white pixels are always copied."
    )
    release: PathLike | None = option(
        None,
        "A painted mask of the frame's size: white pixels are always warped, also where protect is white.",
    )
    threshold: float = option(
        0.7,
        "Probability at which a pixel is half copied and half warped; a higher one copies fewer pixels.",
        low=0.0,
        high=1.0,
    )
    feather: float = option(
        0.15,
        "How far below and above the threshold copying fades in, as a probability; less if that is near 0 or 1.",
        low=0.0,
        high=0.5,
    )
    tile: int | str = option(
        "auto", "Side in px of what is computed at once; auto (on a GPU by free memory) or off."
    )
    device: str = option("auto", "auto, cpu, cuda, cuda:1, mps ...")
    precision: str = option(
        "auto",
        "Number format of the networks: auto is fp16 on CUDA, bf16 on CPUs where it is faster and as good, else fp32.",
        choices=("auto", *PRECISIONS),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mask == OFF:
            self._set("mask", None)
        self._set("device", str(self.device))  # of a torch.device
        if self.threshold in (0, 1):
            raise OptionError(f"threshold must lie between 0 and 1, not {self.threshold:g}")
        if self.tile not in ("auto", OFF):
            typed = str(self.tile)
            side = int(typed) if typed.isdecimal() and len(typed) < 10 else 0
            if side < MIN_TILE:
                raise OptionError(
                    f"tile must be auto, off or a number of pixels of at least {MIN_TILE}, not {self.tile!r}"
                )
            self._set("tile", side)


@dataclass(frozen=True, kw_only=True)
class StillOptions(MaskOptions):
    """Which pixels count as still, and what they show in a new frame."""

    static: str = option(
        "fade",
        'Still pixels "fade" from frame to frame, or copy the "nearest" one.',
        choices=("fade", "nearest"),
    )


@dataclass(frozen=True, kw_only=True)
class FrameOptions(StillOptions):
    """How a new frame is made."""

    vfi: PathLike = option(DEFAULT_VFI, "Interpolation weights: a name or a path.")
    scale: float = option(
        1.0,
        "A power of two: 0.5 estimates motion on frames of half the size, for 4K and large motion.",
        low=1 / 64,
        high=64.0,
    )
    ensemble: bool = option(
        False, "Also estimate the motion with both frames swapped, and average; some networks can."
    )
    runtime: str = option(
        "auto",
        "What computes the network: auto, torch, compile, openvino or onnx.",
        choices=("auto", *RUNTIMES),
    )


@dataclass(frozen=True, kw_only=True)
class EncodeOptions(OptionGroup):
    """How the output is encoded."""

    codec: str | None = option(None, "FFmpeg's name of the encoder: libx264 (default), hevc_nvenc ...")
    crf: float | None = option(
        None,
        "Quality, lower is better and larger: by default 18 for x264, x265, NVENC and QSV, 24 for VP9, "
        "FFmpeg's for other AV1.",
        low=0.0,
        high=63.0,
    )
    preset: str | None = option(None, "Speed preset of the encoder.")
    pix_fmt: str | None = option(
        None, "Pixel format of the output: yuv420p, yuv444p10le ... (default: what players take)."
    )
    encoder_options: dict[str, str] = option({}, "KEY=VALUE for the encoder; may be given again.")

    @property
    def for_encoder(self) -> dict[str, str]:
        """The encoder's options by FFmpeg's names."""
        chosen = {} if self.crf is None else {"crf": f"{self.crf:g}"}
        chosen |= {} if self.preset is None else {"preset": self.preset}
        return chosen | {str(key): str(value) for key, value in self.encoder_options.items()}


@dataclass(frozen=True, kw_only=True)
class Options(EncodeOptions, DecodeOptions, FrameOptions, TimeOptions):
    """All options of `interpolate`.

    A frozen dataclass: `dataclasses.replace` makes another from it. Wrong values raise OptionError.
    """


@dataclass(frozen=True, kw_only=True)
class MaskVideoOptions(EncodeOptions, DecodeOptions, MaskOptions):
    """All options of `mask_video`, which makes no new frames."""


@dataclass(frozen=True, kw_only=True)
class ProtectOptions(EncodeOptions, DecodeOptions, StillOptions, SceneOptions):
    """All options of `protect`, which takes its new frames from another program."""


def option_fields(group: type[OptionGroup]) -> Iterator[OptionField]:
    """The options of a group, in the order in which they are declared."""
    hints = get_type_hints(group)
    for each in fields(group):
        hint = hints[each.name]
        types = (dict,) if get_origin(hint) is dict else get_args(hint) or (hint,)
        factory = each.default_factory
        default = each.default if factory is MISSING else factory()
        yield OptionField(each.name, types, default, **each.metadata)


def _is_path(each: OptionField, value: Any) -> bool:
    """Whether a path was given, or None where the option may be left out."""
    return (value != "" and isinstance(value, str | os.PathLike)) or (
        value is None and type(None) in each.types
    )


def parse_pairs(name: str, texts: Iterable[str]) -> dict[str, str]:
    """Read KEY=VALUE pairs, as a person types them.

    Args:
        name: The option, for the message.
        texts: One pair each.

    Raises:
        OptionError: A text is not such a pair.
    """
    pairs = [text.strip().partition("=") for text in texts]
    if wrong := next((f"{key}{sign}{value}" for key, sign, value in pairs if not sign or not key), None):
        raise OptionError(f"{name} takes KEY=VALUE, not {wrong!r}")
    return {key: value for key, _, value in pairs}


def parse_rate(rate: Number) -> Fraction:
    """Parse a frame rate.

    Args:
        rate: Frames per second: a number, a decimal or a fraction such as "60000/1001". The decimals 23.976, 23.98,
            29.97, 59.94 and similar ones, with two digits or more, mean n*1000/1001.

    Returns:
        Frames per second.

    Raises:
        OptionError: It is not a positive number.
    """
    exact = _number("frame rate", rate, "must be a number or a fraction such as 60000/1001")
    if exact <= 0:
        raise OptionError(f"frame rate must be positive, not {rate}")
    ntsc = Fraction(round(exact * 1001 / 1000) * 1000, 1001)
    rounded = ntsc and "." in str(rate) and exact.denominator != 1 and abs(exact - ntsc) < Fraction(1, 200)
    return ntsc if rounded else exact


def _number(name: str, value: Any, must: str) -> Fraction:
    text = str(value)
    exponent = text.lower().partition("e")[2].strip("+-0 ")
    try:
        if len(exponent) > 3:  # Fraction would write such a power of ten out
            raise ValueError
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise OptionError(f"{name} {must}, not {value!r}") from None


def _seconds(name: str, value: Any) -> Fraction | None:
    if value is None:
        return None
    exact = _number(name, value, "must be a number of seconds")
    if exact < 0:
        raise OptionError(f"{name} must not be negative, not {value}")
    return exact


def _positive(name: str, value: Any) -> Fraction:
    exact = _number(name, value, "must be a number")
    if exact <= 0:
        raise OptionError(f"{name} must be positive, not {value}")
    return exact


def _in_range(each: OptionField, value: Any) -> Any:
    """The value as a number inside the limits of its option, or None if the option may be left out."""
    if value is None and type(None) in each.types:
        return None
    low, high = each.low, each.high
    limits = f"at least {low:g}" if high is None else f"in {low:g}..{high:g}"
    whole = float not in each.types
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    wrong = (
        isinstance(value, bool) or not (low is None or number >= low) or not (high is None or number <= high)
    )
    if wrong or not math.isfinite(number) or (whole and number != int(number)):
        kind = "a whole number of" if whole and high is None else "a whole number" if whole else "a number"
        raise OptionError(f"{each.name} must be {kind} {limits}, not {value!r}")
    return int(number) if whole else number


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return str(value) if isinstance(value, Fraction) else value
