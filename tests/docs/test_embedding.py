"""The blocks of docs/embedding.md do what they say, without what they say they need not."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import maskvfi
from maskvfi.weights.locate import find_weights

HOME = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (HOME / "docs" / "embedding.md").read_text("utf-8"), re.DOTALL)
WITHOUT = (("maskvfi",), ("maskvfi", "torch"), ())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Another project's folder: the files that the page names, and two frames whose upper half moves."""
    pytest.importorskip("onnx")
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(HOME / "maskvfi" / "models" / "static" / "network.py", folder / "static_network.py")
    shutil.copy(find_weights("static-s"), folder)
    maskvfi.export("static-s", folder / "static-s.onnx")
    small = np.random.default_rng(0).integers(0, 255, (26, 34, 3), np.uint8)
    sheet = cv2.resize(small, (136, 104), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(folder / "a.png"), sheet)
    sheet[:52] = np.roll(sheet, 6, axis=1)[:52]
    cv2.imwrite(str(folder / "b.png"), sheet)
    return folder


@pytest.mark.parametrize(
    ("block", "without"), zip(BLOCKS, WITHOUT, strict=True), ids=["torch", "onnx", "maskvfi"]
)
def test_a_block_finds_what_stands_still(project, block, without):
    if "onnxruntime" in block:
        pytest.importorskip("onnxruntime")
    hide = f"import sys\nsys.modules.update(dict.fromkeys({without!r}))\n"
    judge = "still = still[0, 0]\nprint(float((1.0 * still[:44]).mean()), float((1.0 * still[60:]).mean()))\n"
    run = subprocess.run(
        [sys.executable, "-c", hide + block + judge], cwd=project, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    above, below = map(float, run.stdout.split())
    assert above < 0.1
    assert below > 0.9


def test_the_networks_own_code_is_about_ten_lines():
    for block in BLOCKS:
        assert len([line for line in block.splitlines() if line and not re.match("import|from", line)]) <= 10
