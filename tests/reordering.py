"""Change the order of a constant in every loaded module, to show that results do not depend on it."""

from __future__ import annotations

import sys

import pytest


def reversed_in_all_modules(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Reverse the tuple ``name`` in every loaded module of the package that has it."""
    found = [
        module for key, module in list(sys.modules.items()) if key.startswith("occlufacediff") and hasattr(module, name)
    ]
    assert found
    for module in found:
        monkeypatch.setattr(module, name, tuple(reversed(getattr(module, name))))
