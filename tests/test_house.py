"""The house stays as docs/architecture.md draws it; which room may import which is checked by import-linter."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for room in ("maskvfi", "distill") for path in (ROOT / room).rglob("*.py"))


def functions(path: Path) -> list[tuple[str, int]]:
    """Every function of a file, with the number of lines of its body; a docstring does not count."""
    tree = ast.parse(path.read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    bodies = [node.body[1:] if ast.get_docstring(node) else node.body for node in found]
    return [
        (node.name, body[-1].end_lineno - body[0].lineno + 1 if body else 0)
        for node, body in zip(found, bodies, strict=True)
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_function_and_a_file_can_be_taken_in(path):
    assert [name for name, lines in functions(path) if lines > 50] == []
    assert len(path.read_text("utf-8").splitlines()) <= 600


def test_few_modules_stand_outside_a_room():
    assert len(list((ROOT / "maskvfi").glob("*.py"))) <= 12


def test_help_needs_none_of_the_large_libraries():
    code = (
        "import sys\n"
        "from maskvfi.cli.main import app\n"
        "try:\n    app(['interpolate', '--help'])\nexcept SystemExit:\n    pass\n"
        "print({'torch', 'cv2', 'av', 'numpy', 'gradio', 'ray'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()"
