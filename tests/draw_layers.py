"""Draw the imports between packages: ``python tests/draw_layers.py [CHECKOUT] | dot -Tsvg > docs/layers.svg``.

An arrow means "imports". Arrows that follow from others are left out. The general packages below, which nearly all
others import, are in one box. Packages that import each other share a red arrow.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from pathlib import Path

#: Drawn as one box.
GENERAL = {
    "errors",
    "threads",
    "face_mesh",
    "frame_blocks",
    "device",
    "storage",
    "files",
    "pickles",
    "config",
    "fingerprint",
}
BASE, TOP = "errors, files, config, ...", "commands, cli"


def name_of(package: str) -> str:
    """The box of a package."""
    if package in GENERAL:
        return BASE
    return TOP if package in {"commands", "cli", "__main__"} else package


def imports(package: Path) -> dict[str, set[str]]:
    """Boxes that each box imports."""
    known = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    found: dict[str, set[str]] = defaultdict(set)
    for file in sorted(package.rglob("*.py")):
        here = name_of(file.relative_to(package).parts[0].removesuffix(".py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package.name}."):
                there = str(node.module).split(".")[1]
                if there in known and name_of(there) != here:
                    found[here].add(name_of(there))
    found.pop("__init__", None)
    return found


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """All boxes that can be reached from one."""
    seen: set[str] = set()
    waiting = [*graph.get(start, ())]
    while waiting:
        box = waiting.pop()
        if box not in seen:
            seen.add(box)
            waiting += graph.get(box, ())
    return seen


def dot(graph: dict[str, set[str]]) -> str:
    """The graph in Graphviz' language, without arrows that follow from others."""
    lines = ["digraph layers {", "rankdir=TB; node [shape=box, style=rounded, fontname=sans]; edge [color=gray40];"]
    for box in sorted(graph):
        for other in sorted(graph[box]):
            if box in reachable(graph, other):
                lines.append(f'"{box}" -> "{other}" [color=red];')
            elif not any(other in reachable(graph, via) for via in graph[box] - {other}):
                lines.append(f'"{box}" -> "{other}";')
    return "\n".join([*lines, "}", ""])


if __name__ == "__main__":
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    sys.stdout.write(dot(imports(root / "occlufacediff")))
