"""Published data sets, recognised by their folders: the picture files of their training sequences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True, slots=True)
class FrameSequence:
    """Consecutive frames of one scene.

    Attributes:
        name: Without dots or slashes.
        kind: Of footage.
        paths: The picture files, in order.
    """

    name: str
    kind: str
    paths: tuple[Path, ...]


def find_sequences(folder: Path) -> list[FrameSequence]:
    """The training sequences of a data set.

    These layouts are known:

        Vimeo-90K triplet     sequences/00001/0001/im1.png ..., tri_trainlist.txt
        Vimeo-90K septuplet   the same with sep_trainlist.txt
        X4K1000FPS            train/002/occ008.320_f3319/0000.png ...
        ATD-12K               train_10k/NAME/frame1.jpg ...

    Args:
        folder: The data set's.

    Returns:
        The sequences; none where the folder has none of these layouts.

    Raises:
        ValueError: A list names a sequence that is not there.
    """
    for name in ("tri_trainlist.txt", "sep_trainlist.txt"):
        if (folder / name).is_file():
            listed = (folder / name).read_text().split()
            return [_sequence(folder / "sequences" / entry, "natural", entry) for entry in listed]
    for pattern, kind in (("train/*/occ*", "natural"), ("train_10k/*", "anime")):
        if found := sorted(path for path in folder.glob(pattern) if path.is_dir()):
            return [_sequence(path, kind, str(path.relative_to(folder))) for path in found]
    return []


def _sequence(folder: Path, kind: str, name: str) -> FrameSequence:
    paths = tuple(_pictures(folder))
    if len(paths) < 3:
        raise ValueError(f"{folder}: holds {len(paths)} pictures, a sequence needs 3")
    return FrameSequence(name.replace("/", "-").replace(".", "_"), kind, paths)


def _pictures(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
