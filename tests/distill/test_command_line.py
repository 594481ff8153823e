"""The training side's command line answers at once."""

import subprocess
import sys

from commands import run


def test_wrong_words_are_one_line():
    for words, said in ((["evaluate", "all"], b"No such command 'all'"), (["train", "--data"], b"--data")):
        done = run(*words, module="distill")
        assert done.returncode == 2
        assert done.stderr.startswith(b"distill: ")
        assert said in done.stderr
        assert done.stderr.count(b"\n") == 1


def test_weights_replace_no_file_unasked(tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(b"mine")
    done = run("average", "static-s", "static-s", "--out", tmp_path / "mine.safetensors", module="distill")
    assert done.returncode == 2
    assert b"mine.safetensors: exists already" in done.stderr
    assert (tmp_path / "mine.safetensors").read_bytes() == b"mine"


def test_the_command_line_starts_without_torch():
    code = "import distill.cli, sys; assert 'torch' not in sys.modules and 'cv2' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
