"""Live figures of a training: TensorBoard events, Weights & Biases, and pictures of sampled validation windows."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from occlufacediff.config.names import TRACKER_INSTALLS
from occlufacediff.errors import ConfigError
from occlufacediff.files import written_aside
from occlufacediff.training.hooks import Openings
from occlufacediff.training.meter import Row
from occlufacediff.training.state import RESUME

#: Windows in a picture.
MOST_WINDOWS = 6


def draw_openings(openings: Openings, path: Path) -> None:
    """Draw true and sampled mouth openings of the first windows, one panel each, to a PNG file."""
    from matplotlib.figure import Figure

    count = min(len(openings.truth), MOST_WINDOWS)
    figure = Figure(figsize=(8, 1.5 * count + 0.6), layout="constrained")
    panels = figure.subplots(count, 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for row, panel in enumerate(panels):
        panel.plot(openings.truth[row].numpy(), color="0.4", label="truth")
        panel.plot(openings.sampled[row].numpy(), color="tab:orange", label="sampled")
        panel.set_ylabel("opening, mm")
    panels[0].legend(loc="upper right", ncols=2, frameon=False)
    panels[-1].set_xlabel("frame")
    with written_aside(path) as aside:
        figure.savefig(aside, dpi=100)


def _run_id(path: Path, *, resumes: bool) -> str:
    """The id of a run of Weights & Biases: the one in a file if the training resumes, else a new one, written there."""
    if resumes and path.is_file():
        return path.read_text(encoding="ascii").strip()
    name = uuid4().hex
    with written_aside(path) as aside:
        aside.write_text(name, encoding="ascii")
    return name


class Trackers:
    """The trackers of a training that the configuration names.

    Args:
        names: ``tensorboard``, ``wandb``.
        out_dir: folder of the checkpoint; gets ``events/`` and ``wandb/``.
        label: name of the training.
        step: step that the training goes on from; later events of an earlier start are replaced. A resumed training
            continues its run of Weights & Biases, whose id is in ``resume/``; one from step 0 opens a new run.

    Raises:
        ConfigError: a tracker is not installed.
    """

    def __init__(self, names: Iterable[str], out_dir: Path, label: str, step: int) -> None:
        self._writer: Any = None
        self._run: Any = None
        if "tensorboard" in names:
            if find_spec("tensorboard") is None:
                raise ConfigError(
                    f"loop.trackers: tensorboard is not installed; run {TRACKER_INSTALLS['tensorboard']}, or remove it"
                )
            from torch.utils.tensorboard.writer import SummaryWriter

            self._writer = SummaryWriter(str(out_dir / "events"), purge_step=step or None)
        if "wandb" in names:
            try:
                # Not a dependency: it is used where the user has installed it.
                wandb = importlib.import_module("wandb")
            except ImportError as error:
                raise ConfigError(
                    f"loop.trackers: wandb is not installed ({error}); run {TRACKER_INSTALLS['wandb']}, or remove it"
                ) from error
            self._run = wandb.init(
                project="occlufacediff",
                name=f"{out_dir.parent.name} {label}",
                dir=str(out_dir),
                id=_run_id(out_dir / RESUME / "wandb_id", resumes=step > 0),
                resume="allow",
            )
            self._picture = wandb.Image

    def log(self, row: Row) -> None:
        """Send a row of history.csv."""
        step = int(row["step"])
        if self._writer is not None:
            for name, value in row.items():
                part, _, rest = name.partition("validation_")
                self._writer.add_scalar(f"validation/{rest}" if rest and not part else f"training/{name}", value, step)
            self._writer.flush()
        if self._run is not None:
            self._run.log(dict(row), step=step)

    def picture(self, path: Path, step: int) -> None:
        """Send a picture."""
        if self._writer is not None:
            import numpy as np
            from PIL import Image

            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            self._writer.add_image("validation/openings", pixels, step, dataformats="HWC")
        if self._run is not None:
            self._run.log({"validation/openings": self._picture(str(path))}, step=step)

    def close(self) -> None:
        """Finish what was sent."""
        if self._writer is not None:
            self._writer.close()
        if self._run is not None:
            self._run.finish()
