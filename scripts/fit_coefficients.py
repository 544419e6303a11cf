"""Fit the head model to the landmarks of one subject's clips."""

from pathlib import Path

from occlufacediff.stages.logs import logged

with logged(snakemake):
    from occlufacediff.config.reconstruction import ReconstructionSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.chunks import whole
    from occlufacediff.stages.reconstruct import reconstruct_subject

    chunk = snakemake.wildcards.get("chunk")
    reconstruct_subject(
        snakemake.wildcards.subject,
        Path(snakemake.input.clips),
        Path(snakemake.input.head),
        whole(snakemake.output.coefficients, chunk),
        whole(snakemake.output.index, chunk),
        settings=from_params(ReconstructionSettings, snakemake.params.settings),
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
        chunk=chunk,
    )
