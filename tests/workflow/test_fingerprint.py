"""Fingerprints of code: they change with what the used modules do and with the libraries they import."""

from __future__ import annotations

import importlib.util
import shutil
import time
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "occlufacediff"


def _load(folder: Path) -> ModuleType:
    """The module of a copied package, with its own root and empty caches."""
    spec = importlib.util.spec_from_file_location("copied_fingerprint", folder / "workflow" / "fingerprint.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small package with all kinds of imports."""
    root = tmp_path / "occlufacediff"
    for name, text in {
        "__init__.py": "",
        "a.py": "from occlufacediff import b\nif TYPE_CHECKING:\n    import occlufacediff.only\n",
        "b.py": "import some_library\ndef f():\n    import occlufacediff.sub.deep\n    from another.part import g\n",
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
    (root / "workflow").mkdir()
    shutil.copy2(PACKAGE / "workflow" / "fingerprint.py", root / "workflow")
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
    (package / name).write_text((package / name).read_text() + "\nedited = 1\n")
    assert _load(package).fingerprint("occlufacediff.a") != before


@pytest.mark.parametrize("name", ["other.py", "only.py"])
def test_unused_file_does_not(package, name):
    before = _load(package).fingerprint("occlufacediff.a")
    (package / name).write_text("edited = 1\n")
    assert _load(package).fingerprint("occlufacediff.a") == before


CODE = """
class Box:
    size: int = 1

    def grow(self, by=2, *, text="a"):
        if by:
            return [self.size + by, text, None, ()]
        return {**{1: True}}
"""


@pytest.mark.parametrize(
    "text",
    [
        f'"""A docstring."""\n# a comment\n{CODE}',
        CODE.replace("class Box:", 'class Box:\n    """A docstring."""\n'),
        CODE.replace("        if by:", '        """A docstring of two\n\n        lines."""\n        if by:  # why'),
        CODE.replace("size: int = 1", 'size: int = 1\n    """What a field holds."""'),
        CODE.replace("[self.size + by, text, None, ()]", "[\n    self.size + by,\n    text, None, (),\n]"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(package, text):
    (package / "a.py").write_text(CODE)
    before = _load(package).fingerprint("occlufacediff.a")
    (package / "a.py").write_text(text)
    assert _load(package).fingerprint("occlufacediff.a") == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("size: int = 1", "size: int = 2"),
        ("size: int = 1", "size: float = 1"),
        ("by=2", "by=2.0"),
        ('text="a"', 'text="b"'),
        ("self.size + by", "self.size - by"),
        ("None, ()", "None"),
        ("{1: True}", "{1: 1}"),
        ("{**{1: True}}", "{1: True}"),
        ("        return {", "    return {"),
        ("def grow", "@staticmethod\n    def grow"),
    ],
)
def test_changed_code_changes_the_fingerprint(package, old, new):
    (package / "a.py").write_text(CODE)
    before = _load(package).fingerprint("occlufacediff.a")
    assert old in CODE
    (package / "a.py").write_text(CODE.replace(old, new))
    assert _load(package).fingerprint("occlufacediff.a") != before


def install(folder: Path, name: str, release: str, module: str) -> None:
    """A distribution as an installer leaves it, with one module."""
    for old in folder.glob(f"{name}-*.dist-info"):
        shutil.rmtree(old)
    about = folder / f"{name}-{release}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {release}\n")
    (about / "RECORD").write_text(f"{module}/__init__.py,,\n{about.name}/METADATA,,\n")


def test_another_version_of_an_imported_library_changes_the_fingerprint(package, tmp_path, monkeypatch):
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))

    def mark(**versions: str) -> str:
        for name, release in versions.items():
            install(site, name, release, {"another_one": "another"}.get(name, name))
        return _load(package).fingerprint("occlufacediff.a")

    absent = mark()
    first = mark(some_library="1.0", another_one="1.0", not_imported="1.0")
    assert first != absent
    assert mark(some_library="1.1") != first
    assert mark(some_library="1.0") == first
    # The distribution is not named like its module.
    assert mark(another_one="2.0") != first
    assert mark(another_one="1.0", not_imported="2.0") == first
    assert _load(package).libraries(_load(package).closure("occlufacediff.a")) == {
        "some_library": "1.0",
        "another_one": "1.0",
    }


def test_detection_depends_on_the_version_of_mediapipe():
    module = _load(PACKAGE)
    found = module.libraries(module.closure("occlufacediff.stages.landmarks"))
    assert found["mediapipe"] == version("mediapipe")
    assert found["numpy"] == version("numpy")
    assert not {"os", "sys", "pathlib", "occlufacediff"} & set(found)


def test_library_that_is_not_named_like_its_module_is_found():
    assert _load(PACKAGE).libraries(["occlufacediff.models.checkpoint"])["PyYAML"] == version("PyYAML")


def test_unknown_module_is_refused(package):
    with pytest.raises(ModuleNotFoundError, match=r"occlufacediff\.missing"):
        _load(package).fingerprint("occlufacediff.missing")


def test_all_stages_take_less_than_two_cpu_seconds():
    module = _load(PACKAGE)
    begun = time.process_time()
    marks = {
        path.stem: module.fingerprint(f"occlufacediff.stages.{path.stem}") for path in PACKAGE.glob("stages/[a-z]*.py")
    }
    assert time.process_time() - begun < 2
    assert len(set(marks.values())) == len(marks)


def test_audio_does_not_depend_on_the_detector():
    closure = _load(PACKAGE).closure("occlufacediff.stages.audio")
    assert "occlufacediff.media.audio" in closure
    assert not any(name.startswith("occlufacediff.landmarks.detect") for name in closure)
