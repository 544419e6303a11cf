"""Runs Python code as if only some distributions were installed: imports of all others fail.

Command line: a JSON file with the allowed distributions, then the code to run, then its arguments.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any


def normalised(name: str) -> str:
    """Name of a distribution as package indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


class AllowedOnly(MetaPathFinder):
    """Asks another finder, except for top-level modules that only forbidden distributions install."""

    def __init__(self, finder: Any, forbidden: set[str]) -> None:
        self.finder, self.forbidden = finder, forbidden

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.split(".")[0] in self.forbidden:
            return None
        return self.finder.find_spec(fullname, path, target)


def forbidden_modules(allowed: set[str]) -> set[str]:
    """Top-level modules of the installed distributions that no allowed one installs too."""
    owners = importlib.metadata.packages_distributions()
    return {module for module, names in owners.items() if not {normalised(name) for name in names} & allowed}


if __name__ == "__main__":
    allowed = {normalised(name) for name in json.loads(Path(sys.argv[1]).read_text())} | {"occlufacediff"}
    forbidden = forbidden_modules(allowed)
    sys.meta_path[:] = [AllowedOnly(finder, forbidden) for finder in sys.meta_path]
    code, sys.argv = sys.argv[2], ["occlufacediff", *sys.argv[3:]]
    exec(compile(code, "<allowed only>", "exec"))
