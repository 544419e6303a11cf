"""Fit the head model to the landmarks of one subject's clips."""

from pathlib import Path

from occlufacediff.stages.logs import logged

with logged(snakemake):
    from occlufacediff.config.reconstruction import ReconstructionSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.reconstruct import reconstruct_subject

    reconstruct_subject(
        snakemake.wildcards.subject,
        Path(snakemake.input.clips),
        Path(snakemake.input.head),
        Path(snakemake.output.coefficients),
        Path(snakemake.output.index),
        settings=from_params(ReconstructionSettings, snakemake.params.settings),
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
    )
