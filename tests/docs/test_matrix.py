"""Every kind of input in every kind of output: kept or named, as docs/formats.md says."""

import shutil

import matrix
import pytest


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg")
def test_the_page_of_formats_is_what_is_found_and_nothing_is_lost_in_silence(tmp_path):
    text, silent = matrix.page(tmp_path)
    assert silent == []
    assert text == matrix.PAGE.read_text(encoding="utf-8"), "python tests/matrix.py writes it anew"
