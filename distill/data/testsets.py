"""Published test sets of frame interpolation, each read by its own layout and protocol. Nothing of them is shipped.

vimeo90k   the 3,782 triplets of tri_testlist.txt (Xue et al., IJCV 2019)
snu-film   310 triplets in each of four parts, easy to extreme (Choi et al., AAAI 2020)
xiph       eight 4K clips, every even frame of the first 100; whole at half size, and the middle at full size
           (Niklaus and Liu, CVPR 2020)
x-test     frames 0 and 32 of 15 clips, seven (or three) frames between them; at full and at half size
           (Sim et al., ICCV 2021)
davis      90 clips, every other frame from the fourth on, the middle 848x480 (Xu et al., NeurIPS 2019)
atd12k     the 2,000 test triplets at 960x540, by level (Li et al., CVPR 2021)
gdm        screen recordings with graphics that jump, every other frame at half size (Lee et al., CVPR 2023)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from distill.arrays import Image
from distill.data.layouts import PICTURE_SUFFIXES
from distill.options import SETS

XIPH = (
    "BoxingPractice",
    "Crosswalk",
    "DrivingPOV",
    "FoodMarket",
    "FoodMarket2",
    "RitualDance",
    "SquareAndTimelapse",
    "Tango",
)
XIPH_LAST = 98  # the number of the last frame that is made, of 100
X_SPAN = 32  # frames from one end of an X-TEST clip to the other
SNU_LEVELS = ("easy", "medium", "hard", "extreme")
ATD_LEVELS = {0: "easy", 1: "medium", 2: "hard"}
ATD_SIZE = (960, 540)  # px, width and height
DAVIS_SIZE = (848, 480)  # px
FIRST = 3  # the first frame of a clip of DAVIS or GDM that is made: methods of four frames look that far back


@dataclass(frozen=True, slots=True)
class TestRun:
    """Frames that follow each other evenly; a method is given the first and the last.

    Attributes:
        part: Of the set, such as "hard"; "" where it has none.
        name: Of the clip or the triplet.
        paths: The picture files, in order.
        view: What the protocol does to each picture: a crop, or another size.
    """

    part: str
    name: str
    paths: tuple[Path, ...]
    view: Callable[[Image], Image]

    def frames(self) -> list[Image]:
        """The frames as the protocol wants them, RGB [H,W,3].

        Raises:
            ValueError: A picture is missing or damaged.
        """
        return [self.view(_read(path)) for path in self.paths]


def find_runs(name: str, folder: Path, times: int | None = None, most: int | None = None) -> list[TestRun]:
    """The runs of a test set.

    Args:
        name: One of SETS.
        folder: The set's.
        times: Gaps in a run: 8 or 4 for X-TEST (8 if None), 2 for all others.
        most: How many runs of each part, evenly spread; None: all.

    Raises:
        ValueError: The folder does not have the set's layout, or the set has no such runs.
    """
    if name not in _READERS:
        raise ValueError(f"no test set {name!r}; there are {', '.join(SETS)}")
    allowed = (8, 4) if name == "x-test" else (2,)
    if times not in (None, *allowed):
        raise ValueError(f"{name} is measured at {' or '.join(f'{k}x' for k in allowed)}, not {times}x")
    read, wanted = _READERS[name]
    found = list(_x_test(folder, times or 8) if name == "x-test" else read(folder))
    if not found:
        raise ValueError(f"{folder}: is not laid out as {name} is (it needs {wanted})")
    if most is None:
        return found
    spread = []
    for part in dict.fromkeys(run.part for run in found):
        runs = [run for run in found if run.part == part]
        places = np.linspace(0, len(runs) - 1, min(most, len(runs)))
        spread += [runs[int(place)] for place in places]
    return spread


def _vimeo(folder: Path) -> Iterator[TestRun]:
    for entry in _lines(folder / "tri_testlist.txt"):
        place = folder / "sequences" / entry
        yield TestRun("", entry, tuple(place / f"im{k}.png" for k in (1, 2, 3)), _whole)


def _snu_film(folder: Path) -> Iterator[TestRun]:
    for level in SNU_LEVELS:
        file = f"test-{level}.txt"
        lists = [folder / file, folder / "eval_modes" / file, folder / "test" / file]
        for line in _lines(next((path for path in lists if path.is_file()), lists[0])):
            paths = tuple(_listed(folder, entry) for entry in line.split())
            if len(paths) != 3:
                raise ValueError(f"{folder}: a line of {file} names {len(paths)} pictures, not 3")
            yield TestRun(level, f"{paths[1].parent.name}/{paths[1].stem}", paths, _whole)


def _listed(folder: Path, entry: str) -> Path:
    """A picture that SNU-FILM's lists name by a path on their authors' machine: data/SNU-FILM/test/..."""
    parts = Path(entry).parts
    start = next((k for k, part in enumerate(parts) if part in ("GOPRO_test", "YouTube_test")), 0)
    inner = Path(*parts[start:])
    return next(
        (place / inner for place in (folder / "test", folder) if (place / inner).is_file()), folder / inner
    )


def _xiph(folder: Path) -> Iterator[TestRun]:
    for part, view in (("2K", _half), ("4K crop", _middle)):
        for clip in XIPH:
            for k in range(2, XIPH_LAST + 1, 2):
                paths = tuple(folder / f"{clip}-{n:03d}.png" for n in (k - 1, k, k + 1))
                if paths[1].is_file():
                    yield TestRun(part, f"{clip}-{k:03d}", paths, view)


def _x_test(folder: Path, times: int) -> Iterator[TestRun]:
    root = folder / "test" if (folder / "test").is_dir() else folder
    for part, view in (("4K", _whole), ("2K", _half)):
        for clip in sorted(path for path in root.glob("Type*/*") if path.is_dir()):
            paths = tuple(clip / f"{k:04d}.png" for k in range(0, X_SPAN + 1, X_SPAN // times))
            yield TestRun(part, f"{clip.parent.name}/{clip.name}", paths, view)


def _davis(folder: Path) -> Iterator[TestRun]:
    inner = (folder / "480p", folder / "JPEGImages" / "480p", folder)
    for run in _every_other(next(path for path in inner if path.is_dir() or path == folder)):
        yield TestRun("", run[0], run[1], _davis_crop)


def _atd12k(folder: Path) -> Iterator[TestRun]:
    root = next(
        (folder / name for name in ("test_2k_540p", "test_2k_original") if (folder / name).is_dir()), None
    )
    for place in sorted(root.iterdir()) if root else []:
        paths = tuple(next(place.glob(f"frame{k}.*"), place / f"frame{k}.png") for k in (1, 2, 3))
        if place.is_dir():
            about = folder / "test_2k_annotations" / place.name / f"{place.name}.json"
            level = json.loads(about.read_text()).get("level") if about.is_file() else None
            yield TestRun(
                ATD_LEVELS.get(level, "") if level is not None else "", place.name, paths, _atd_size
            )


def _gdm(folder: Path) -> Iterator[TestRun]:
    for name, paths in _every_other(folder):
        yield TestRun("", name, paths, _half_bilinear)


_Reader = Callable[[Path], Iterator[TestRun]]
_READERS: dict[str, tuple[_Reader, str]] = {
    "vimeo90k": (_vimeo, "tri_testlist.txt and sequences/00001/0001/im1.png ..."),
    "snu-film": (_snu_film, "test-easy.txt ... test-extreme.txt and test/GOPRO_test, test/YouTube_test"),
    "xiph": (_xiph, "BoxingPractice-001.png ... Tango-100.png"),
    "x-test": (lambda folder: _x_test(folder, 8), "test/Type1/CLIP/0000.png ... 0032.png"),
    "davis": (_davis, "480p/CLIP/00000.jpg ..."),
    "atd12k": (_atd12k, "test_2k_540p/TRIPLET/frame1.png ..., or test_2k_original"),
    "gdm": (_gdm, "CLIP/00000.jpg ..."),
}


def _every_other(folder: Path) -> Iterator[tuple[str, tuple[Path, ...]]]:
    """Triplets around every other frame of every clip, as DAVIS and GDM are tested by methods of four frames."""
    clips = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    for clip in clips:
        pictures = sorted(path for path in clip.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
        for k in range(FIRST, len(pictures) - FIRST, 2):
            yield f"{clip.name}/{pictures[k].stem}", tuple(pictures[k - 1 : k + 2])


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text().splitlines() if line.strip()] if path.is_file() else []


def _read(path: Path) -> Image:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path}: is missing, or is no picture")
    return np.ascontiguousarray(picture[..., ::-1])


def _whole(picture: Image) -> Image:
    return picture


def _half(picture: Image) -> Image:
    """Half the size; the mean of every 2x2 px."""
    height, width = picture.shape[:2]
    return cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def _half_bilinear(picture: Image) -> Image:
    """Half the size by Pillow's bilinear filter, which GDM's authors use."""
    from PIL import Image as Pillow

    height, width = picture.shape[:2]
    return np.array(Pillow.fromarray(picture).resize((width // 2, height // 2), Pillow.Resampling.BILINEAR))


def _middle(picture: Image) -> Image:
    """The middle, half as wide and half as high."""
    height, width = picture.shape[:2]
    top, left = height // 4, width // 4
    return np.ascontiguousarray(picture[top : height - top, left : width - left])


def _davis_crop(picture: Image) -> Image:
    height, width = picture.shape[:2]
    top, left = max(0, round((height - DAVIS_SIZE[1]) / 2)), max(0, round((width - DAVIS_SIZE[0]) / 2))
    return np.ascontiguousarray(picture[top : top + DAVIS_SIZE[1], left : left + DAVIS_SIZE[0]])


def _atd_size(picture: Image) -> Image:
    same = picture.shape[1::-1] == ATD_SIZE
    return picture if same else cv2.resize(picture, ATD_SIZE, interpolation=cv2.INTER_AREA)
