"""Unpack one subject's archives: the videos of one camera and their audio."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.acquire import AcquireSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.acquire import limits_of, unpack_subject

    settings = from_params(AcquireSettings, snakemake.params.settings)
    index = Path(snakemake.output.index)
    # Lists of none or one: a local folder may lack either archive.
    video, audio = ([Path(path) for path in paths] for paths in (snakemake.input.video, snakemake.input.audio))
    unpack_subject(
        snakemake.wildcards.subject,
        video[0] if video else None,
        audio[0] if audio else None,
        index.parent,
        index,
        view=settings.view,
        limits=limits_of(settings),
    )
