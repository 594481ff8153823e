"""The nodes in a real ComfyUI server: MASKVFI_COMFYUI is its folder, MASKVFI_COMFYUI_PYTHON the Python that runs it.

benchmarks/comfyui_server.py starts it, queues graphs and cancels some of them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = os.environ.get("MASKVFI_COMFYUI", "")
PYTHON = os.environ.get("MASKVFI_COMFYUI_PYTHON", sys.executable)
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "comfyui_server.py"

pytestmark = pytest.mark.skipif(not CHECKOUT, reason="MASKVFI_COMFYUI names no folder of a ComfyUI server")


@pytest.fixture(scope="module", params=["v3", "v1"])
def found(request, tmp_path_factory):
    """What the script has found, with the nodes in the server's newest and in its first schema."""
    out = tmp_path_factory.mktemp("comfyui") / "found.json"
    small = ["--size", "256x144", "--frames", "4", "--factor", "24", "--vfi", "vfi-s"]
    command = [PYTHON, str(SCRIPT), CHECKOUT, *small, "--schema", request.param, "--out", str(out)]
    subprocess.run(command, check=True)
    return json.loads(out.read_text("utf-8"))


def test_the_server_has_every_node_and_the_words_to_find_it(found):
    assert len(found["nodes"]) == 6
    assert found["aliases"] == (6 if found["aliases_of_others"] else 0)  # older servers have none at all


def test_a_batch_is_interpolated_and_its_progress_shown(found):
    assert found["interpolate"]["end"] == "execution_success"
    assert found["interpolate"]["events"] > 3
    assert found["interpolate"]["last"] == [73, 73]


def test_a_video_is_interpolated_with_its_sound(found):
    assert found["video"]["end"] == "execution_success"
    assert (found["video"]["frames"], found["video"]["sound"]) == (7, 1)
    assert found["left_behind"] == 0


def test_another_nodes_images_are_protected(found):
    assert found["protect"]["end"] == "execution_success"
    assert found["protect"]["last"] == [7, 7]


def test_cancel_ends_the_node(found):
    waits = [wait for wait in found["cancel_images"] if wait is not None]
    assert waits
