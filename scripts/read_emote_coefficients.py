"""Read EMOTE's coefficients of one subject's clips."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.emote import EmoteSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.emote_coefficients import read_emote_coefficients_subject
    from occlufacediff.workflow.chunks import subject_file

    chunk = snakemake.wildcards.get("chunk")
    read_emote_coefficients_subject(
        snakemake.wildcards.subject,
        Path(snakemake.input.clips),
        Path(snakemake.input.head),
        Path(snakemake.input.published),
        subject_file(snakemake.output.coefficients, chunk),
        subject_file(snakemake.output.index, chunk),
        settings=from_params(EmoteSettings, snakemake.params.settings),
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
        chunk=chunk,
    )
