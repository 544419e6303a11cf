"""Find the face landmarks on every frame of one subject's clips."""

from pathlib import Path

from occlufacediff.stages.logs import logged

with logged(snakemake):
    from occlufacediff.config.landmarks import LandmarkSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.landmarks import detect_subject

    video = Path(snakemake.input.index)
    detect_subject(
        snakemake.wildcards.subject,
        video.parent,
        video,
        Path(snakemake.output.landmarks),
        Path(snakemake.output.index),
        settings=from_params(LandmarkSettings, snakemake.params.settings),
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
    )
