"""Pack the coefficients and landmarks of one subject for training."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.stages.pack import pack_face

    pack_face(
        snakemake.wildcards.subject,
        Path(snakemake.input.coefficients),
        Path(snakemake.input.clips),
        Path(snakemake.output.face),
        precision=snakemake.params.precision,
    )
