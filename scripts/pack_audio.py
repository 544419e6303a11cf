"""Pack one kind of audio of one subject for training."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.stages.pack import pack_audio

    phones = snakemake.input.get("phones")
    pack_audio(
        snakemake.wildcards.subject,
        snakemake.wildcards.kind,
        Path(snakemake.input.face),
        Path(snakemake.input.audio),
        Path(snakemake.output.audio),
        phones_h5=Path(phones) if phones else None,
        precision=snakemake.params.precision,
    )
