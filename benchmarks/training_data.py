"""Where the clips and pictures come from that networks were trained on, as the tables of docs/training-data.md.

python -m benchmarks.training_data CLIPS/manifest.json PICTURES/manifest.json

A manifest is a list of files, each with its repository, its licence and, where there are several, its split.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path


def table(entries: Iterable[Mapping[str, str]]) -> list[str]:
    """The rows of a table: repositories and licences, most files first."""
    counts = Counter((entry["source_repo"], entry["licence"].replace("|", "/")) for entry in entries)
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    lines = ["| repository | licence, as stated there | files |", "|---|---|---|"]
    for (repository, licence), count in rows:
        name = repository.removeprefix("https://").removeprefix("github.com/").rstrip("/")
        lines.append(f"| [{name}]({repository}) | {licence} | {count} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifests", nargs="+", type=Path, metavar="MANIFEST")
    for path in parser.parse_args().manifests:
        entries = json.loads(path.read_text(encoding="utf-8"))
        print(
            "\n".join(table(entry for entry in entries if entry.get("split", "train") == "train")), end="\n\n"
        )


if __name__ == "__main__":
    main()
