"""The formats of exports: a name, a suffix and a function each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from occlufacediff.errors import ConfigError
from occlufacediff.export.motion import PosedMotion
from occlufacediff.export.refit import has_actions, refit
from occlufacediff.head.asset import HeadAsset


@dataclass(frozen=True)
class ExportFormat:
    """A file format for motion.

    Attributes:
        name: as in ``--to``.
        suffix: of the file.
        title: name for people.
        write: writes a motion of a head model to a path.
    """

    name: str
    suffix: str
    title: str
    write: Callable[[Path, PosedMotion, HeadAsset], None]


def _write_glb(path: Path, motion: PosedMotion, head: HeadAsset) -> None:
    from occlufacediff.export.gltf import GltfScene, head_glb

    head_glb(head, [GltfScene(head.name, [motion])]).write(path)


FORMATS = {
    one.name: one
    for one in (ExportFormat(name="glb", suffix=".glb", title="binary glTF 2.0 (morph targets)", write=_write_glb),)
}


def export_formats(names: Iterable[str]) -> list[ExportFormat]:
    """The formats of these names, each once.

    Args:
        names: each one name or several with commas between them.

    Raises:
        ConfigError: there is no format of a name, or no name.
    """
    wanted = dict.fromkeys(name.strip() for text in names for name in text.split(",") if name.strip())
    known = ", ".join(FORMATS)
    if not wanted:
        raise ConfigError(f"export: got no format, needs one or more of {known}")
    for name in wanted:
        if name not in FORMATS:
            raise ConfigError(f"export: got the unknown format {name!r}, needs one or more of {known}")
    return [FORMATS[name] for name in wanted]


def in_range(motion: PosedMotion, head: HeadAsset) -> tuple[PosedMotion, str]:
    """The motion with expression coefficients in [0, 1], and a sentence that says how far the surface moved.

    A head model whose coefficients are not ARKit actions (FLAME) has no such range: its motion is returned unchanged.
    """
    if not has_actions(head):
        return motion, f"the coefficients of the head model {head.name!r} have no range and are written unchanged"
    fitted = refit(head, motion.exp)
    text = (
        f"coefficients fitted to the range 0 to 1: the lips move by {fitted.lips_mm:.2f} mm on average, all moving "
        f"vertices by {fitted.mean_mm:.2f} mm, and any vertex by {fitted.largest_mm:.1f} mm at most"
    )
    return replace(motion, exp=fitted.exp), text
