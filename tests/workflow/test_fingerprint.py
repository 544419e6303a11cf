"""Fingerprints of code: they change with every module that is used, and with no other."""

from __future__ import annotations

import importlib.util
import shutil
import time
from pathlib import Path
from types import ModuleType

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "occlufacediff"


def _load(folder: Path) -> ModuleType:
    """The module of a copied package, with its own root and empty caches."""
    spec = importlib.util.spec_from_file_location("copied_fingerprint", folder / "fingerprint.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A little package with all kinds of imports."""
    root = tmp_path / "occlufacediff"
    for name, text in {
        "__init__.py": "",
        "a.py": "from occlufacediff import b\nif TYPE_CHECKING:\n    import occlufacediff.only\n",
        "b.py": "import numpy\ndef f():\n    import occlufacediff.sub.deep\n",
        "only.py": "",
        "other.py": "import occlufacediff.a\n",
        "sub/__init__.py": "",
        "sub/deep.py": "from . import sibling\nfrom .sibling import x\nfrom ..b import f\n",
        "sub/sibling.py": "x = 1\n",
        "sub/page.html": "<p>",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.copy2(PACKAGE / "fingerprint.py", root)
    return root


def test_closure_follows_every_kind_of_import(package):
    assert _load(package).closure("occlufacediff.a") == {
        "occlufacediff",
        "occlufacediff.a",
        "occlufacediff.b",
        "occlufacediff.sub",
        "occlufacediff.sub.deep",
        "occlufacediff.sub.sibling",
    }


@pytest.mark.parametrize("name", ["a.py", "b.py", "sub/deep.py", "sub/sibling.py", "sub/page.html", "sub/__init__.py"])
def test_used_file_changes_the_fingerprint(package, name):
    before = _load(package).fingerprint("occlufacediff.a")
    (package / name).write_text((package / name).read_text() + "\n# edited\n")
    assert _load(package).fingerprint("occlufacediff.a") != before


@pytest.mark.parametrize("name", ["other.py", "only.py"])
def test_unused_file_does_not(package, name):
    before = _load(package).fingerprint("occlufacediff.a")
    (package / name).write_text("# edited\n")
    assert _load(package).fingerprint("occlufacediff.a") == before


def test_unknown_module_is_refused(package):
    with pytest.raises(ModuleNotFoundError, match=r"occlufacediff\.missing"):
        _load(package).fingerprint("occlufacediff.missing")


def test_all_stages_take_less_than_two_seconds():
    module = _load(PACKAGE)
    begun = time.monotonic()
    marks = {
        path.stem: module.fingerprint(f"occlufacediff.stages.{path.stem}") for path in PACKAGE.glob("stages/[a-z]*.py")
    }
    assert time.monotonic() - begun < 2
    assert len(set(marks.values())) == len(marks)


def test_sound_does_not_depend_on_the_detector():
    closure = _load(PACKAGE).closure("occlufacediff.stages.audio")
    assert "occlufacediff.media.sound" in closure
    assert not any(name.startswith("occlufacediff.landmarks.detect") for name in closure)
