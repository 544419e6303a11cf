"""Score the motions of one subject's clips."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.stages.score_motions import score_subject
    from occlufacediff.workflow.chunks import subject_file

    chunk = snakemake.wildcards.get("chunk")
    score_subject(
        snakemake.wildcards.subject,
        Path(snakemake.input.motions),
        Path(snakemake.input.failures),
        Path(snakemake.input.clips),
        Path(snakemake.input.audio),
        Path(snakemake.input.coefficients),
        Path(snakemake.input.head),
        subject_file(snakemake.output.scores, chunk),
        subject_file(snakemake.output.failures, chunk),
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
        chunk=chunk,
    )
