"""Write files.md beside this file: every module in one line, the first one of its docstring (`make docs`)."""

import ast
from pathlib import Path

DOCS = Path(__file__).parent
HEAD = """# Every file

[How maskvfi is built](architecture.md) has the ideas. `make docs` writes this page from the files.
"""


def page(root: Path) -> str:
    """The page as Markdown.

    Args:
        root: The folder of the repository.
    """
    lines, room = [HEAD], Path()
    for path in sorted(
        (file for name in ("maskvfi", "distill") for file in (root / name).rglob("*.py")),
        key=lambda file: (file.relative_to(root).parts[0] != "maskvfi", file.parent, file.name),
    ):
        said = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n")[0]
        if path.name.startswith("__") or not said:
            continue
        if path.parent != room:
            room = path.parent
            lines.append(f"\n## {room.relative_to(root).as_posix()}/\n")
        lines.append(f"- `{path.name}`: {said}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (DOCS / "files.md").write_text(page(DOCS.parent), encoding="utf-8")
