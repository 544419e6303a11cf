"""Make the clips of one synthetic subject and pack them as archives."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.section import from_params
    from occlufacediff.config.synthetic import SyntheticSettings
    from occlufacediff.stages.synthesise import synthesise_subject

    synthesise_subject(
        snakemake.wildcards.subject,
        Path(snakemake.input.head),
        Path(snakemake.output.video),
        Path(snakemake.output.audio),
        Path(snakemake.output.sentences),
        Path(snakemake.output.truth),
        settings=from_params(SyntheticSettings, snakemake.params.settings),
        seed=snakemake.params.seed,
        workers=snakemake.threads,
        scheduler=snakemake.config["dask"]["scheduler"],
    )
