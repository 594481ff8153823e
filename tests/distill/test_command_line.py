"""The training side's command line answers at once."""

import subprocess
import sys


def test_the_command_line_starts_without_torch():
    code = "import distill.cli, sys; assert 'torch' not in sys.modules and 'cv2' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
