"""What `occlufacediff benchmark` does on the console: the run and its table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from occlufacediff.benchmark.page_parts import lone_clip_note
from occlufacediff.commands.model import find_model
from occlufacediff.config.benchmark import BenchmarkSettings
from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.stages.benchmark import BenchmarkInputs, read_table, run_benchmark
from occlufacediff.stages.benchmark_page import write_page

#: Columns of the console's table: metric and heading.
SHOWN = {
    "lips_px": "lips, px",
    "hidden_px": "hidden, px",
    "opening_correlation": "opening r",
    "width_correlation": "width r",
    "jerk_ratio": "jerk / true",
}


def result_table(means: pd.DataFrame, region: str, span: str) -> Table:
    """Means of all methods for one region and span."""
    chosen = means[(means["region"] == region) & (means["span"] == span) & (means["part"] == "all")]
    table = Table(title=f"{region} hidden, {span} frames", title_justify="left")
    table.add_column("method")
    for heading in SHOWN.values():
        table.add_column(heading, justify="right")
    for method in dict.fromkeys(chosen["method"]):
        cells = []
        for metric in SHOWN:
            row = chosen[(chosen["method"] == method) & (chosen["metric"] == metric)]
            one = row.iloc[0] if len(row) else None
            cells.append("" if one is None or pd.isna(one["mean"]) else f"{one['mean']:.2f}")
        table.add_row(method.replace("_", " "), *cells)
    return table


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
    checkpoint, head = find_model(checkpoint, head, Console(stderr=True, highlight=False))
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
    run_benchmark(folder, out, inputs=inputs, workers=workers)
    write_page(folder, out, inputs=inputs)
    console = Console(highlight=False)
    clips, means, gains = (read_table(out, name) for name in ("clips", "means", "gains"))
    console.print(result_table(means, settings.regions[0], settings.spans[0]))
    lips = gains[(gains["metric"] == "lips_px") & (gains["part"] == "all")]
    lips = lips[(lips["region"] == settings.regions[0]) & (lips["span"] == settings.spans[0])]
    for row in lips.dropna(subset="gain_percent").to_dict("records"):
        interval = "" if pd.isna(row["low"]) else f" [{row['low']:+.1f}, {row['high']:+.1f}]"
        console.print(
            f"lips against {str(row['against']).replace('_', ' ')}: {row['gain_percent']:+.1f} %{interval}, "
            f"better on {100 * row['share_better']:.0f} % of {row['n']} clips",
            soft_wrap=True,
            markup=False,
        )
    if note := lone_clip_note(settings.methods, set(means["method"])):
        console.print(note, soft_wrap=True, markup=False)
    for row in clips[clips["status"] != "ok"].to_dict("records"):
        console.print(f"not used: {row['clip']} ({row['reason']})", soft_wrap=True, markup=False)
    console.print(str(out / "benchmark.html"), soft_wrap=True, markup=False)
