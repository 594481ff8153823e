"""A folder of results that a measurement fills one after another: all of them must be of the same measurement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from maskvfi.paths import written_whole


def check_begun(path: Path, **facts: Any) -> None:
    """Note what a measurement is of; if it was begun before, make sure that it is the same.

    Args:
        path: The JSON file beside the results.
        **facts: What they depend on.

    Raises:
        SystemExit: The results there are those of another measurement.
    """
    if not path.is_file():
        if path.parent.is_dir() and any(path.parent.iterdir()):
            raise SystemExit(f"{path.parent}: holds other files; give a new --out")
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as partial:
            partial.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    if before != facts:
        named = ", ".join(sorted(name for name in {*before, *facts} if before.get(name) != facts.get(name)))
        raise SystemExit(
            f"{path.parent}: holds results of another measurement ({named} differ); give another --out"
        )
