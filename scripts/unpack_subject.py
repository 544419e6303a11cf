"""Unpack one subject's archives: one camera's videos and their sound."""

from pathlib import Path

from occlufacediff.stages.logs import logged

with logged(snakemake):
    from occlufacediff.config.acquire import AcquireSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.acquire import unpack_subject

    index = Path(snakemake.output.index)
    audio = snakemake.input.get("audio")
    unpack_subject(
        snakemake.wildcards.subject,
        Path(snakemake.input.video),
        Path(audio) if audio else None,
        index.parent,
        index,
        view=from_params(AcquireSettings, snakemake.params.settings).view,
    )
