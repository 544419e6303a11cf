"""Fit the head model to the landmarks of one subject's clips."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.reconstruction import ReconstructionSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.reconstruct import reconstruct_subject
    from occlufacediff.workflow.chunks import subject_file

    chunk = snakemake.wildcards.get("chunk")
    reconstruct_subject(
        snakemake.wildcards.subject,
        Path(snakemake.input.clips),
        Path(snakemake.input.head),
        subject_file(snakemake.output.coefficients, chunk),
        subject_file(snakemake.output.index, chunk),
        settings=from_params(ReconstructionSettings, snakemake.params.settings),
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
        chunk=chunk,
    )
