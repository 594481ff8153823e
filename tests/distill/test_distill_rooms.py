"""The training side's rooms: a room imports only those below it, and its command line answers without torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import distill

ROOT = Path(distill.__file__).parent
# From the lowest to the highest.
ROOMS = ("arrays", "options", "networks", "synthetic", "data", "training", "evaluate", "cli", "__main__")


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.module
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names if node.module == "distill")
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_a_room_imports_only_those_below_it():
    for path in ROOT.rglob("*.py"):
        room = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for module in imported(path):
            if module.startswith("distill."):
                other = module.split(".")[1]
                assert ROOMS.index(other) <= ROOMS.index(room), f"{path.relative_to(ROOT)} imports {module}"


def test_the_command_line_starts_without_torch():
    code = "import distill.cli, sys; assert 'torch' not in sys.modules and 'cv2' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
