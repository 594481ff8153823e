"""Text in many scripts, drawn with whatever fonts the machine has."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from distill.arrays import Floats, Rng

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Fonts = Mapping[str, list[str | None]]  # files by script; None: Pillow's own

PLAIN: Fonts = {"latin": [None]}
DIGITS = "0123456789"
SCRIPTS = {
    "latin": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789    .,:!?%/-+",
    "accents": "ÄÖÜäöüßÀÉÈÊÇàéèêçñøåÅØĄĘŁśźżčšžřůğışő   ",
    "cyrillic": "АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЭЮЯабвгдежзийклмнопрстуфхцчшщъыьэюя    ",
    "greek": "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρστυφχψω   ",
    "kana": "あいうえおかきくけこさしすせそたちつてとなにぬねのまみむめもアイウエオカキクケコサシスセソ",
    "han": "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可",
    "hangul": "가나다라마바사아자차카타파하고노도로모보소오조초코토포호구누두루무부수우주추쿠투푸후",
    "arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي   ",
    "devanagari": "अआइईउऊएऐओऔकखगघचछजझटठडढणतथदधनपफबभमयरलवशषसह   ",
    "thai": "กขคงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ",
}


def words(rng: Rng, low: int, high: int, fonts: Fonts | None = None) -> tuple[str, str | None]:
    """Random letters of one script, and a font that has them.

    Args:
        rng: Chooses script, letters and font.
        low, high: The fewest and the most letters.
        fonts: To choose from; by default the machine's.

    Returns:
        The text, and the font's file; None: Pillow's own font.
    """
    fonts = fonts or fonts_by_script()
    script = "latin" if rng.random() < 0.6 else str(rng.choice(sorted(fonts)))
    text = "".join(rng.choice(list(SCRIPTS[script]), int(rng.integers(low, high + 1))))
    found = fonts[script]
    return text, found[int(rng.integers(len(found)))]


def draw_text(
    height: int,
    width: int,
    text: str,
    font: str | None,
    place: tuple[float, float],
    size: int,
    stroke: int = 0,
) -> Floats:
    """Draw lines of text.

    Args:
        height, width: Of the canvas in px.
        text: Lines.
        font: A file; None: Pillow's own font.
        place: (x,y) in px of the text's centre.
        size: Of the letters in px.
        stroke: Px by which letters are widened.

    Returns:
        Coverage [height,width] in 0..1.
    """
    canvas = PILImage.new("L", (width, height))
    ImageDraw.Draw(canvas).multiline_text(
        place, text, 255, _load(font, size), anchor="mm", align="center", stroke_width=stroke
    )
    return np.asarray(canvas, np.float32) / 255


@cache
def fonts_by_script() -> dict[str, list[str | None]]:
    """The fonts of this machine that can draw each script; scripts without a font are left out."""
    folders = [folder for folder in _folders() if folder.is_dir()]
    files = sorted(
        path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES
    )
    found: dict[str, list[str | None]] = {"latin": [None]}
    for path in files[:: max(1, len(files) // 150)]:
        try:
            font = ImageFont.truetype(os.fspath(path), 20)
        except OSError:
            continue
        missing = bytes(font.getmask("\U0010fffe"))
        for script, letters in SCRIPTS.items():
            sample = letters.replace(" ", "")[:: max(1, len(letters) // 6)]
            if all((mask := bytes(font.getmask(letter))) != missing and any(mask) for letter in sample):
                found.setdefault(script, []).append(os.fspath(path))
    return found


_SUFFIXES = {".ttf", ".otf", ".ttc"}


def _folders() -> list[Path]:
    home = Path.home()
    if sys.platform == "win32":
        return [Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts"]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    return [
        Path("/usr/share/fonts"),
        Path("/usr/local/share/fonts"),
        home / ".local/share/fonts",
        home / ".fonts",
    ]


@cache
def _load(font: str | None, size: int) -> Font:
    return ImageFont.load_default(size) if font is None else ImageFont.truetype(font, size)
