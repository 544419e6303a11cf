"""The command ``occlufacediff export-motions``: motions of an evaluation as files that another evaluation can read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import h5py
import numpy as np

from occlufacediff.errors import AssetError
from occlufacediff.evaluation.predictions import OCCLUSION
from occlufacediff.files import written_aside
from occlufacediff.head.digest import HEAD_DIGEST, HEAD_NAME
from occlufacediff.media.rates import FPS


def run(run_folder: Path, target: Path, *, method: str) -> None:
    """Write ``<target>/<occlusion>/<subject>/<clip>.npz`` for each motion of a method, and print their number.

    Each file has ``exp`` (T, E), ``jaw`` (T, 3), ``head_name``, ``head_digest`` and ``fps``.

    Args:
        run_folder: folder of a run, or its folder ``evaluation``.
        target: folder to write.
        method: name of the method.

    Raises:
        AssetError: there are no predictions, or none of the method.
    """
    places = [run_folder / "evaluation" / "motions", run_folder / "motions"]
    folder = next((place for place in places if place.is_dir()), places[0])
    files = sorted(folder.glob("*.h5"))
    if not files:
        raise AssetError(f"{folder}: has no motions; give the folder of an evaluated run")
    counts: dict[str, int] = {}
    methods: set[str] = set()
    for path in files:
        with h5py.File(path, "r") as file:
            methods |= {name for kind in file for name in getattr(file[kind], "keys", tuple)()}
            about = {name: np.asarray(str(file.attrs[name])) for name in (HEAD_NAME, HEAD_DIGEST) if name in file.attrs}
            for kind in (kind for kind in file if f"{kind}/{method}" in file):
                for clip_id, group in _motions(file[kind][method]):
                    out = target / kind / f"{clip_id}.npz"
                    with written_aside(out) as aside, aside.open("wb") as stream:
                        np.savez(
                            stream, exp=group["exp"][()], jaw=group["jaw"][()], fps=np.asarray(float(FPS)), **about
                        )
                    counts[kind] = counts.get(kind, 0) + 1
    if not counts:
        names = ", ".join(sorted(methods - {OCCLUSION})) or "none"
        raise AssetError(f"{folder}: has no motion of {method!r}; it has {names}")
    listed = ", ".join(f"{kind} {count}" for kind, count in counts.items())
    click.echo(f"{target}: {sum(counts.values())} motions of {method} ({listed})")


def _motions(group: h5py.Group) -> Iterator[tuple[str, h5py.Group]]:
    """Clips of a method: ``<subject>/<clip>`` and the group with its arrays."""
    found: list[str] = []
    group.visititems(lambda name, thing: found.append(name) if "exp" in getattr(thing, "keys", tuple)() else None)
    for name in found:
        yield name, group[name]
