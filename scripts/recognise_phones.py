"""Recognise the phones of one subject's clips."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.stages.phones import recognise_subject
    from occlufacediff.workflow.chunks import subject_file

    chunk = snakemake.wildcards.get("chunk")
    recognise_subject(
        snakemake.wildcards.subject,
        Path(snakemake.input.audio),
        subject_file(snakemake.output.phones, chunk),
        subject_file(snakemake.output.index, chunk),
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
        chunk=chunk,
    )
