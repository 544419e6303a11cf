"""The command `occlufacediff benchmark`: run it, and print its first table."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from occlufacediff.benchmark.page_parts import REGION_NAMES, SPAN_NAMES, single_clip_note
from occlufacediff.commands.model import find_model
from occlufacediff.config.benchmark import BenchmarkSettings
from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.reporting.names import method_name
from occlufacediff.reporting.tables import read_table
from occlufacediff.stages.benchmark import BenchmarkInputs, run_benchmark
from occlufacediff.stages.benchmark_page import write_page

#: Columns of the printed table: metric and heading.
SHOWN = {
    "lips_px": "lips, px",
    "hidden_px": "all occluded, px",
    "opening_correlation": "opening r",
    "width_correlation": "width r",
    "jerk_ratio": "jerk / true",
}
#: File in the output folder that gets the tracebacks of failed clips.
LOG = "benchmark.log"


def result_table(means: pd.DataFrame, region: str, span: str) -> Table:
    """Means of all methods for one region and span."""
    chosen = means[(means["region"] == region) & (means["span"] == span) & (means["part"] == "all")]
    table = Table(title=f"{REGION_NAMES[region]} occluded {SPAN_NAMES[span]}", title_justify="left")
    table.add_column("method", no_wrap=True)
    for heading in SHOWN.values():
        table.add_column(heading, justify="right")
    for method in dict.fromkeys(chosen["method"]):
        cells = []
        for metric in SHOWN:
            row = chosen[(chosen["method"] == method) & (chosen["metric"] == metric)]
            one = row.iloc[0] if len(row) else None
            cells.append("" if one is None or pd.isna(one["mean"]) else f"{one['mean']:.2f}")
        table.add_row(method_name(method), *cells)
    return table


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Write log messages of this package to a file. The file is created with the first message."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    logger, handler = logging.getLogger("occlufacediff"), logging.FileHandler(path, delay=True, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def run(
    folder: Path,
    out: Path,
    *,
    checkpoint: Path | None,
    head: Path | None,
    seed: int,
    device: str,
    workers: int,
    quick: bool,
) -> None:
    """Run the benchmark on a folder of videos and print its first table.

    Raises:
        OccluFaceError: see `stages.benchmark.run_benchmark`.
    """
    settings = BenchmarkSettings(regions=("mouth",), spans=("middle",)) if quick else BenchmarkSettings()
    errors, console = Console(stderr=True, highlight=False), Console(highlight=False)
    checkpoint, head = find_model(checkpoint, head, errors)
    inputs = BenchmarkInputs(
        head=head,
        checkpoint=checkpoint,
        settings=settings,
        landmarks=LandmarkSettings(),
        crop=CropSettings(),
        reconstruction=ReconstructionSettings(),
        seed=seed,
        device=device,
    )
    try:
        with log_to(out / LOG):
            run_benchmark(folder, out, inputs=inputs, workers=workers)
            write_page(folder, out, inputs=inputs)
    finally:
        if (out / LOG).is_file():
            errors.print(f"tracebacks of failed clips: {out / LOG}", soft_wrap=True, markup=False)
    _print_results(out, settings, console)


def _print_results(out: Path, settings: BenchmarkSettings, console: Console) -> None:
    """Print the table of the first region and span, the gains at the lips, and the failed clips."""
    clips, means, gains = (read_table(out / f"{name}.csv", ()) for name in ("clips", "means", "gains"))
    console.print(result_table(means, settings.regions[0], settings.spans[0]))
    lips = gains[(gains["metric"] == "lips_px") & (gains["part"] == "all")]
    lips = lips[(lips["region"] == settings.regions[0]) & (lips["span"] == settings.spans[0])]
    for row in lips.dropna(subset="gain_percent").to_dict("records"):
        interval = "" if pd.isna(row["low"]) else f" [{row['low']:+.1f}, {row['high']:+.1f}]"
        console.print(
            f"lip error against {method_name(row['against'])}: gain {row['gain_percent']:+.1f} %{interval}, "
            f"better on {100 * row['share_better']:.0f} % of {row['n']} clips",
            soft_wrap=True,
            markup=False,
        )
    if note := single_clip_note(settings.methods, set(means["method"])):
        console.print(note, soft_wrap=True, markup=False)
    for row in clips[clips["status"] != "ok"].to_dict("records"):
        console.print(f"failed: {row['clip']} ({row['reason']}: {row['message']})", soft_wrap=True, markup=False)
    console.print(str(out / "benchmark.html"), soft_wrap=True, markup=False)
