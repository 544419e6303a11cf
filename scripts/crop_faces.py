"""Crop the face of one subject's clips and bring its landmarks to [-1, 1]."""

from pathlib import Path

from occlufacediff.stages.logs import logged

with logged(snakemake):
    from occlufacediff.config.crop import CropSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.crop import crop_subject

    video = Path(snakemake.input.index)
    crop_subject(
        snakemake.wildcards.subject,
        video.parent,
        video,
        Path(snakemake.input.landmarks),
        Path(snakemake.output.clips),
        Path(snakemake.output.index),
        settings=from_params(CropSettings, snakemake.params.settings),
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
    )
