"""Commands of studies: comparisons, tables, converted checkpoints and splits."""

from __future__ import annotations

from pathlib import Path

import click

from occlufacediff.cli.group import main
from occlufacediff.cli.options import model_options


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/benchmark"),
    show_default=True,
    help="Output folder; its intermediate results of the same videos are reused.",
)
@click.option("--quick", is_flag=True, help="Occlude only the mouth, in the middle half of the frames.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Number of processes.")
@model_options
def benchmark(
    folder: Path,
    out: Path,
    quick: bool,
    workers: int,
    seed: int,
    device: str,
    checkpoint: Path | None,
    head: Path | None,
) -> None:
    """Compare all methods on the videos in FOLDER with simulated occlusion."""
    from occlufacediff.commands.benchmark import run

    run(folder, out, checkpoint=checkpoint, head=head, seed=seed, device=device, workers=workers, quick=quick)


@main.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Output file: .safetensors for a network (with a .yaml next to it), .npz for a head model.",
)
@click.option("--head-name", help="Name of the head model; default: from FLAME's file name; flame2020 for networks.")
@click.option(
    "--audio-config",
    type=click.Path(path_type=Path),
    help="config.json of the denoiser's wav2vec2, if it is not wav2vec2-base.",
)
@click.option(
    "--embedding",
    type=click.Path(path_type=Path),
    help="MediaPipe landmark embedding (.npz), if it is in another folder.",
)
@click.option("--masks", type=click.Path(path_type=Path), help="FLAME_masks.pkl, if it is in another folder.")
def convert(
    checkpoint: Path,
    target: Path,
    head_name: str | None,
    audio_config: Path | None,
    embedding: Path | None,
    masks: Path | None,
) -> None:
    """Convert the published CHECKPOINT (denoiser .pt, FLINT .ckpt, or FLAME's folder) to this package's format."""
    from occlufacediff.stages.convert_checkpoint import convert as write

    click.echo(
        write(
            checkpoint,
            target,
            head_name=head_name,
            audio_config=audio_config,
            embedding=embedding,
            masks=masks,
        )
    )


@main.command()
@click.argument("transcripts", type=click.Path(path_type=Path))
@click.option(
    "--as-written",
    is_flag=True,
    help="Count transcripts that differ only in their apostrophes as different sentences, like the published lists.",
)
@click.option(
    "--validation-is-test", is_flag=True, help="Do not take validation clips out of the published training split."
)
def splits(transcripts: Path, as_written: bool, validation_is_test: bool) -> None:
    """Count the clips of MEAD's splits in the table TRANSCRIPTS (lines: subject_level_n_emotion_number TRANSCRIPT)."""
    from occlufacediff.commands.splits import run

    run(transcripts, as_written=as_written, validation_is_test=validation_is_test)


@main.command()
@click.argument("results", type=click.Path(path_type=Path))
def summary(results: Path) -> None:
    """Print the results of all runs in RESULTS (results/<dataset>, or the folder of one run)."""
    from occlufacediff.reporting.summary import print_summary

    print_summary(results)


@main.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--metric", help="Metric to print; default: the lip vertex error.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="CSV table of all metrics to write.")
def compare(first: Path, second: Path, metric: str | None, out: Path | None) -> None:
    """Compare the evaluations of two runs, FIRST and SECOND, on the same clips.

    Each is the folder of a run, results/<dataset>/runs/<run>, or an evaluation folder.
    """
    from occlufacediff.commands.compare import run

    run(first, second, metric=metric, out=out)


@main.command("export-motions")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write: <occlusion>/<subject>/<clip>.npz.",
)
@click.option("--method", default="ours", show_default=True, help="Method whose motions to write.")
def export_motions(run: Path, target: Path, method: str) -> None:
    """Write the motions of an evaluated RUN as files that another evaluation reads (evaluation.external)."""
    from occlufacediff.commands.export_motions import run as write

    write(run, target, method=method)
