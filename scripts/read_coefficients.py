"""Read the published coefficients of one subject's clips."""

from pathlib import Path

from occlufacediff.stages.logs import logged

with logged(snakemake):
    from occlufacediff.config.published import PublishedSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.chunks import whole
    from occlufacediff.stages.published_coefficients import read_coefficients_subject

    chunk = snakemake.wildcards.get("chunk")
    read_coefficients_subject(
        snakemake.wildcards.subject,
        Path(snakemake.input.clips),
        Path(snakemake.input.head),
        Path(snakemake.input.published),
        whole(snakemake.output.coefficients, chunk),
        whole(snakemake.output.index, chunk),
        settings=from_params(PublishedSettings, snakemake.params.settings),
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
        chunk=chunk,
    )
