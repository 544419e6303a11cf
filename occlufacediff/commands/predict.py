"""What `occlufacediff predict` does on the console: progress, notes, the timing table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from occlufacediff.commands.model import find_model
from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.config.load import check_settings
from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.config.visibility import VisibilitySettings
from occlufacediff.errors import ConfigError
from occlufacediff.prediction.predictor import Prediction
from occlufacediff.stages.predict import ANIMATION, MOTION, predict_video

#: The published way to sample: every window on its own, whatever sounds, and the denoiser's motion as it is.
AS_PUBLISHED = {
    "solver": "ddim",
    "steps": 100,
    "window_hop": 64,
    "adaptation": AdaptationSettings(enabled=False),
    "follow_visible": False,
    "only_speech": False,
}


class ConsoleProgress:
    """Shows the steps of a prediction as bars; called with a step's name, what is done and what there is to do."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            TextColumn("{task.completed}"),
            TimeElapsedColumn(),
        )
        self.bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int, total: int | None) -> None:
        """Show that ``done`` of ``total`` (None: unknown) of a step are done."""
        if step not in self._tasks:
            self._tasks[step] = self.bars.add_task(step, total=total)
        self.bars.update(self._tasks[step], completed=done, total=total if total is None else max(total, done))


def timing_table(prediction: Prediction) -> Table:
    """Seconds of each step, its share, and frames a second."""
    table = Table(
        title=f"{len(prediction.exp)} frames, {len(prediction.exp) / prediction.fps:.1f} s", title_justify="left"
    )
    for name in ("step", "seconds", "share", "frames/s"):
        table.add_column(name, justify="left" if name == "step" else "right")
    total = sum(prediction.seconds.values())
    for step, seconds in [*prediction.seconds.items(), ("total", total)]:
        rate = len(prediction.exp) / seconds if seconds > 0 else float("inf")
        table.add_row(step, f"{seconds:.2f}", f"{100 * seconds / max(total, 1e-9):.0f} %", f"{rate:.0f}")
    return table


def run(
    video: Path,
    out: Path,
    *,
    occlusion: Any,
    mask: Path | None,
    segmentation: Path | None,
    visible: tuple[str, ...],
    occluder: Path | None,
    seed: int,
    device: str,
    checkpoint: Path | None,
    head: Path | None,
    steps: int | None,
    guidance: tuple[float | None, float | None],
    as_published: bool,
    profile: bool,
) -> None:
    """Predict one video, with progress on the error stream and the results' paths on the output.

    Raises:
        ConfigError: an occluder's picture together with another occlusion; a weight that no network can be guided by.
        OccluFaceError: see `stages.predict.predict_video`.
    """
    sampling: dict[str, Any] = {"guidance_all": guidance[0], "guidance_audio": guidance[1]}
    if as_published:
        sampling |= AS_PUBLISHED
    if steps is not None:
        sampling["steps"] = steps
    settings = check_settings(PredictionSettings(occlusion=occlusion, **sampling), options=True)
    if occluder is not None:
        if occlusion != "none":
            raise ConfigError(f"--occluder: got --occlusion {occlusion} too; leave out one of the two")
        settings = replace(settings, occlusion="picture", region=OcclusionSettings(pictures=str(occluder)))
    told = VisibilitySettings()
    if visible and segmentation is None:
        raise ConfigError(f"--visible: got {', '.join(visible)}, which only a --segmentation model tells; give one")
    if segmentation is not None:
        told = VisibilitySettings(source="segmentation", model=str(segmentation), visible=visible or told.visible)
    errors, console = Console(stderr=True, highlight=False), Console(highlight=False)
    checkpoint, head = find_model(checkpoint, head, errors)
    shown = ConsoleProgress(errors)
    with shown.bars:
        prediction = predict_video(
            video,
            checkpoint,
            head,
            out,
            settings=settings,
            seed=seed,
            device=device,
            mask=mask,
            visibility=told,
            progress=shown,
        )
    for note in prediction.notes:
        errors.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
    if profile:
        console.print(timing_table(prediction))
    for name in (ANIMATION, MOTION):
        console.print(str(out / video.stem / name), soft_wrap=True, markup=False)
