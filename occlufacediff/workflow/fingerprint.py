"""Fingerprints of code: a digest of a module and of all that it imports from this package.

Snakemake reruns a job when its script changed, but it does not see the modules that the script imports. Each rule
therefore takes the fingerprint of its stage's module as a param: editing a module reruns the stages that use it, and no
others.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "occlufacediff"
ROOT = Path(__file__).resolve().parents[1]
#: Fields of a syntax tree that hold statements, or the branches of ``try`` and ``match`` that hold them.
_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")


def fingerprint(*modules: str) -> str:
    """Digest of the source of ``modules`` and of every module of this package that they import, however deep.

    Imports inside functions count, imports for type checkers only do not. A folder's files that are not Python
    (templates) belong to each module in that folder. The sources are read, never run.

    Args:
        modules: full names, such as ``occlufacediff.stages.video``.

    Returns:
        Sixteen hex digits.

    Raises:
        ModuleNotFoundError: a named module does not exist in this package.
    """
    digest = hashlib.sha256()
    for name in sorted(closure(*modules)):
        for path in _sources(name):
            digest.update(f"{name}/{path.name}\0".encode())
            digest.update(_file_digest(path))
    return digest.hexdigest()[:16]


def closure(*modules: str) -> set[str]:
    """Names of ``modules``, of the packages they lie in and of all modules of this package that they import."""
    found: set[str] = set()
    waiting = list(modules)
    for name in modules:
        if _file(name) is None:
            raise ModuleNotFoundError(f"{name}: there is no such module below {ROOT}", name=name)
    while waiting:
        name = waiting.pop()
        if name not in found and _file(name) is not None:
            found.add(name)
            waiting.extend(_imports(name))
    return found


def _file(name: str) -> Path | None:
    """File of a module of this package, or none where ``name`` is not one."""
    first, *rest = name.split(".")
    if first != PACKAGE:
        return None
    base = ROOT.joinpath(*rest)
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _sources(name: str) -> list[Path]:
    """The module's file, and where it lies in a package below the root, the files there that are not Python."""
    path = _file(name)
    assert path is not None
    if path.parent == ROOT:
        return [path]
    data = (p for p in path.parent.iterdir() if p.is_file() and p.suffix not in {".py", ".pyc"} and p.name[0] != ".")
    return [path, *sorted(data)]


@cache
def _file_digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


@cache
def _imports(name: str) -> tuple[str, ...]:
    """Names that may be modules of this package, from all import statements of module ``name``, with their packages."""
    path = _file(name)
    assert path is not None
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    names = {name.rpartition(".")[0]}
    for node in _nodes(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join(parts[: len(parts) - node.level + 1])
                module = f"{base}.{module}" if module else base
            names.add(module)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return tuple(sorted(n for n in names if n.split(".")[0] == PACKAGE))


def _nodes(tree: ast.Module) -> Iterator[ast.stmt]:
    """All statements of a module, however deep, but the bodies of ``if TYPE_CHECKING:``.

    Imports are statements, so expressions, which are most of a tree, are left out.
    """
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.stmt):
            yield node
        bodies = ("orelse",) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) else _BODIES
        for body in bodies:
            waiting.extend(getattr(node, body, ()))
