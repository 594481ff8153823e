"""The training side's command line answers at once, and names things as maskvfi's own does."""

import subprocess
import sys

import pytest

from distill.cli import main
from distill.evaluate import quality, qualitytables


def test_the_command_line_starts_without_torch():
    code = "import distill.cli, sys; assert 'torch' not in sys.modules and 'cv2' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("given", "mask"), [(["--mask", "off"], None), ([], "static-s")])
def test_a_mask_that_is_off_is_not_measured(given, mask, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        quality, "measure_quality", lambda *words, **_: asked.append(words) or quality.Quality([])
    )
    monkeypatch.setattr(qualitytables, "quality_tables", lambda _: [])
    monkeypatch.setattr(sys, "argv", ["distill", "evaluate", "quality", "--clips", str(tmp_path), *given])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert asked[0][2] == mask
