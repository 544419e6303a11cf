"""The command `occlufacediff predict`: progress, notes, the timing table and the summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from occlufacediff.commands.model import find_model
from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.config.load import check_settings
from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.config.prediction import Blinks, PredictionSettings, Smoothing
from occlufacediff.config.visibility import VisibilitySettings
from occlufacediff.device import pick_device
from occlufacediff.errors import ConfigError
from occlufacediff.export.arkit_mapping import read_mapping
from occlufacediff.export.formats import export_formats
from occlufacediff.head.asset import HeadAsset
from occlufacediff.prediction.pipeline import Prediction
from occlufacediff.prediction.progress import StepTimer
from occlufacediff.prediction.videos import SUMMARY, is_list, list_videos
from occlufacediff.prediction.videos import shown as shown_name
from occlufacediff.stages.predict import ANIMATION, MOTION, VIEWER, load_once, predict_video
from occlufacediff.stages.predict_videos import Row, predict_one, write_summary
from occlufacediff.workflow.shards import FAILED

#: The published sampling: separate windows, any audio, no adaptation and no refinement.
AS_PUBLISHED = {
    "solver": "ddim",
    "steps": 100,
    "window_hop": 64,
    "adaptation": AdaptationSettings(enabled=False),
    "refine": False,
    "only_speech": False,
}


class ConsoleProgress:
    """Shows a progress bar for each step; called with its name, the work done and the work in total."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description:<11}"),
            BarColumn(),
            TextColumn("{task.completed}"),
            TimeElapsedColumn(),
        )
        self.bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int, total: int | None) -> None:
        """Show that ``done`` of ``total`` (None: unknown) units of a step are done."""
        if step not in self._tasks:
            self._tasks[step] = self.bars.add_task(step, total=total)
        self.bars.update(self._tasks[step], completed=done, total=total if total is None else max(total, done))


def timing_table(frames: int, fps: int, seconds: dict[str, float]) -> Table:
    """Seconds of each step, its share, and frames a second.

    Args:
        frames: length of the video.
        fps: its frames a second.
        seconds: of each step.
    """
    table = Table(title=f"{frames} frames, {frames / fps:.1f} s", title_justify="left")
    for name in ("step", "seconds", "share", "frames/s"):
        table.add_column(name, justify="left" if name == "step" else "right")
    total = sum(seconds.values())
    for step, spent in [*seconds.items(), ("total", total)]:
        rate = frames / spent if spent > 0 else float("inf")
        table.add_row(step, f"{spent:.2f}", f"{100 * spent / max(total, 1e-9):.0f} %", f"{rate:.0f}")
    return table


def visibility_settings(
    visibility: str | None, mask: Path | None, segmentation: Path | None, visible: tuple[str, ...]
) -> VisibilitySettings:
    """The source of visibility that the options ask for; masks of the user are added to it later.

    Raises:
        ConfigError: options contradict each other, or one is missing.
    """
    if visible and segmentation is None:
        raise ConfigError(f"--visible: got {', '.join(visible)}, which needs a segmentation model; give --segmentation")
    chosen = visibility or ("auto" if segmentation is None else "segmentation")
    if segmentation is not None and chosen != "segmentation":
        raise ConfigError(f"--segmentation: got a model and --visibility {chosen}; give only one of them")
    if chosen == "segmentation" and segmentation is None:
        raise ConfigError("--visibility: got segmentation, which needs a model; give --segmentation MODEL.tflite")
    if chosen == "masks" and mask is None:
        raise ConfigError("--visibility: got masks, which needs a mask; give --mask")
    if chosen == "none" and mask is not None:
        raise ConfigError("--mask: got a mask and --visibility none; give only one of them, or --visibility masks")
    if segmentation is not None:
        categories = visible or VisibilitySettings().visible
        return VisibilitySettings(source="segmentation", model=str(segmentation), visible=categories)
    return VisibilitySettings(source="auto" if chosen == "auto" else "none")


def run(
    videos: Sequence[Path],
    out: Path,
    *,
    occlusion: Any,
    visibility: str | None,
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
    viewer: bool,
    export: tuple[str, ...],
    arkit_mapping: Path | None,
    blender: Path | None,
    fps: float | Literal["video"] | None,
    smoothing: Smoothing,
    blinks: Blinks,
    overwrite: bool,
    workers: int,
    profile: bool,
) -> int:
    """Predict videos. Progress and notes go to stderr, the paths of the results to stdout.

    Returns:
        exit status: 1 if a video of several failed, else 0.

    Raises:
        ConfigError: an occluder together with another occlusion, an unknown format, or an option out of range.
        OccluFaceError: see `stages.predict.predict_video` for one video, `stages.predict_videos` for several.
    """
    exports = export_formats(export, blender) if export else []
    sampling: dict[str, Any] = {"guidance_all": guidance[0], "guidance_audio": guidance[1]}
    if as_published:
        sampling |= AS_PUBLISHED
    if steps is not None:
        sampling["steps"] = steps
    sampling |= {"export": tuple(one.name for one in exports), "export_fps": fps, "export_smoothing": smoothing}
    sampling["export_blinks"] = blinks
    sampling["blender"] = None if blender is None else str(blender)
    sampling["arkit_mapping"] = None if arkit_mapping is None else str(arkit_mapping)
    settings = check_settings(PredictionSettings(occlusion=occlusion, **sampling), options=True)
    if occluder is not None:
        if occlusion != "none":
            raise ConfigError(f"--occluder: got --occlusion {occlusion} as well; give only one of them")
        settings = replace(settings, occlusion="picture", region=OcclusionSettings(pictures=str(occluder)))
    several = len(videos) > 1 or is_list(videos[0])
    if several and mask is not None:
        raise ConfigError(
            "--mask: got a mask together with several videos; give one video, or use the workflow with "
            "visibility.source: masks (docs/visibility.md)"
        )
    listed = list_videos(videos) if several else {videos[0].stem: videos[0]}
    source = visibility_settings(visibility, mask, segmentation, visible)
    errors, console = Console(stderr=True, highlight=False), Console(highlight=False)
    # A device that does not exist concerns all videos.
    pick_device(device)
    checkpoint, head = find_model(checkpoint, head, errors)
    if arkit_mapping is not None:
        # A wrong mapping concerns all videos too.
        read_mapping(arkit_mapping, HeadAsset.load(head))
    load, timer = load_once(workers), StepTimer()

    def predict(video: Path) -> Prediction:
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
                visibility=source,
                viewer=viewer,
                overwrite=overwrite,
                load=load,
                progress=shown,
                timer=timer,
            )
        for note in prediction.notes:
            errors.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
        if profile:
            console.print(timing_table(len(prediction.exp), prediction.fps, timer.seconds))
        names = [ANIMATION, MOTION, *([VIEWER] if viewer else []), *(f"motion{one.suffix}" for one in exports)]
        for name in names:
            console.print(shown_name(str(out / video.stem / name)), soft_wrap=True, markup=False)
        return prediction

    if not several:
        predict(videos[0])
        return 0
    rows: list[Row] = []
    for number, (name, video) in enumerate(listed.items(), start=1):
        errors.print(f"{number} of {len(listed)}: {shown_name(str(video))}", soft_wrap=True, markup=False)
        rows.append(predict_one(name, video, partial(predict, video)))
        if rows[-1]["status"] == FAILED:
            errors.print(f"[red]failed:[/] {escape(rows[-1]['message'])}", soft_wrap=True)
        # After each video, so that an interrupted call leaves the rows of finished videos.
        write_summary(out / SUMMARY, rows)
    failed = sum(row["status"] == FAILED for row in rows)
    console.print(str(out / SUMMARY), soft_wrap=True, markup=False)
    if failed:
        errors.print(f"{failed} of {len(rows)} videos failed; {out / SUMMARY} has the reasons", markup=False)
    return 1 if failed else 0
