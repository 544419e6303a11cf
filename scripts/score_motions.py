"""Score the motions of one subject's clips."""

from dataclasses import replace
from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.readers import LipReadingSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.evaluation.reading import ReaderFiles
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
        Path(snakemake.input.manifest),
        subject_file(snakemake.output.scores, chunk),
        subject_file(snakemake.output.failures, chunk),
        readers=ReaderFiles(
            next((Path(path) for path in snakemake.input.readers), None),
            snakemake.params.packaged,
            replace(
                from_params(LipReadingSettings, snakemake.params.lip_reading),
                reader=next(iter(snakemake.input.lip_reader), None),
                labels=next(iter(snakemake.input.labels), None),
            ),
            next((Path(path) for path in snakemake.input.recogniser), None),
        ),
        external={name: Path(folder) for name, folder in snakemake.params.external.items()},
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
        chunk=chunk,
    )
