"""Fingerprints of code: a digest of what a module and all that it imports do.

Snakemake reruns a job when its script changed, but it does not see the modules that the script imports. Each rule
therefore takes the fingerprint of its stage's module as a param: a change of a module reruns the stages that use it,
and no others. Comments, docstrings and layout do not count. The versions of imported libraries do.
"""

from __future__ import annotations

import ast
import gc
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distributions, version
from pathlib import Path
from typing import NamedTuple

PACKAGE = "occlufacediff"
ROOT = Path(__file__).resolve().parents[1]
#: Fields of a syntax tree that hold statements, or the branches of ``try`` and ``match`` that hold them.
_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")
#: Top-level modules in the list of a distribution's files: a folder, a Python file or an extension module.
_TOP_LEVEL = re.compile(r"^(\w+)(?:/|\.py,|\.[\w-]+\.so,)", re.MULTILINE)


class _Module(NamedTuple):
    """What a module's source says."""

    #: Digest of its syntax tree without docstrings.
    digest: bytes
    #: Names in its import statements, with the packages that hold them.
    imports: tuple[str, ...]


def fingerprint(*modules: str) -> str:
    """Digest of ``modules`` and of every module of this package that they import, directly or indirectly.

    It covers the syntax trees without docstrings, and the name and version of every installed library that these
    modules import (not the standard library). Imports inside functions count, imports for type checkers only do not.
    Data files in a package's folder (templates, tables) belong to each module in that folder. The sources are parsed,
    never run.

    Args:
        modules: full names, such as ``occlufacediff.stages.video``.

    Returns:
        Sixteen hex digits.

    Raises:
        ModuleNotFoundError: a named module does not exist in this package.
    """
    digest = hashlib.sha256()
    names = sorted(closure(*modules))
    for name in names:
        digest.update(f"{name}\0".encode())
        digest.update(_read(name).digest)
        for path in _data_files(name):
            digest.update(f"{name}/{path.name}\0".encode())
            digest.update(_file_digest(path))
    for library, installed in sorted(libraries(names).items()):
        digest.update(f"{library} {installed}\0".encode())
    return digest.hexdigest()[:16]


def closure(*modules: str) -> set[str]:
    """Names of ``modules``, of the packages that hold them and of all modules of this package that they import."""
    found: set[str] = set()
    waiting = list(modules)
    for name in modules:
        if _file(name) is None:
            raise ModuleNotFoundError(f"{name}: there is no such module below {ROOT}", name=name)
    # Parsing creates many objects; a garbage collection in between doubles its time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        while waiting:
            name = waiting.pop()
            if name not in found and _file(name) is not None:
                found.add(name)
                waiting.extend(_read(name).imports)
    finally:
        if collecting:
            gc.enable()
    return found


def libraries(modules: Iterable[str]) -> dict[str, str]:
    """Versions of the installed libraries that modules of this package import, by distribution name.

    A library that is not installed (optional ones) has the version "none" under the name it is imported by.
    """
    names = {name.partition(".")[0] for module in modules for name in _read(module).imports}
    third_party = names - sys.stdlib_module_names - {PACKAGE, ""}
    return dict(found for name in third_party for found in _versions(name))


@cache
def _versions(name: str) -> tuple[tuple[str, str], ...]:
    """Name and version of the distributions that provide the top-level module ``name``."""
    try:
        # Most distributions are named like their module; this does not search the others.
        return ((name, version(name)),)
    except PackageNotFoundError:
        return tuple(sorted((one.name, one.version) for one in _providers().get(name, ()))) or ((name, "none"),)


@cache
def _providers() -> dict[str, list[Distribution]]:
    """Top-level module -> distributions that provide it.

    `importlib.metadata.packages_distributions` gives their names, and takes several times as long.
    """
    found: dict[str, list[Distribution]] = {}
    for one in distributions():
        listed = one.read_text("top_level.txt")
        names = listed.split() if listed is not None else _TOP_LEVEL.findall(one.read_text("RECORD") or "")
        for name in set(names):
            found.setdefault(name, []).append(one)
    return found


@cache
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


def _data_files(name: str) -> list[Path]:
    """Files that are not Python beside a module in a package below the root."""
    path = _file(name)
    assert path is not None
    if path.parent == ROOT:
        return []
    return sorted(
        file
        for file in path.parent.iterdir()
        if file.is_file() and file.suffix not in {".py", ".pyc"} and file.name[0] != "."
    )


@cache
def _file_digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


@cache
def _read(name: str) -> _Module:
    """Digest and imports of a module of this package."""
    path = _file(name)
    assert path is not None
    tree = ast.parse(path.read_bytes(), filename=str(path))
    words: list[str] = []
    _describe(tree, words)
    return _Module(hashlib.sha256("\0".join(words).encode()).digest(), _imports(name, path, tree))


def _describe(node: ast.AST, words: list[str]) -> None:
    """Append what a syntax tree says, without positions and without statements that are a string (docstrings).

    Like `ast.dump`, in a third of its time. Empty fields are left out, so that a field that a new Python adds to a
    class of nodes changes nothing.
    """
    words.append(type(node).__name__)
    for field in node._fields:
        value = getattr(node, field, None)
        if value is None or value == []:
            continue
        words.append(field)
        if isinstance(value, ast.AST):
            _describe(value, words)
        elif isinstance(value, list):
            for item in value:
                if not isinstance(item, ast.AST):
                    words.append(repr(item))
                elif not _is_text(item):
                    _describe(item, words)
            words.append("]")
        else:
            words.append(repr(value))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imports(name: str, path: Path, tree: ast.Module) -> tuple[str, ...]:
    """Names in all import statements of module ``name``, and the package that holds it."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    names = {name.rpartition(".")[0]}
    for node in _nodes(tree):
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
    return tuple(sorted(names))


def _nodes(tree: ast.Module) -> Iterator[ast.stmt]:
    """All statements of a module, nested ones too, except in the bodies of ``if TYPE_CHECKING:``.

    Imports are statements, so expressions, which are most of a tree, are not visited.
    """
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.stmt):
            yield node
        bodies = ("orelse",) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) else _BODIES
        for body in bodies:
            waiting.extend(getattr(node, body, ()))
