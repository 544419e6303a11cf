"""Download one archive of a subject from the shared folder."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.acquire import DownloadSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.fetch import fetch_archive

    fetch_archive(
        snakemake.wildcards.subject,
        snakemake.wildcards.archive,
        Path(snakemake.output.archive),
        # Not a param: another mirror or number of attempts is no reason to download a file again.
        settings=from_params(DownloadSettings, snakemake.config["download"]),
    )
