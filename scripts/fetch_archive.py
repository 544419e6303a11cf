"""Fetch one archive of a subject from the shared folder."""

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
        # Not a param: how patiently a file is fetched, and from which mirror, is no reason to fetch it again.
        settings=from_params(DownloadSettings, snakemake.config["download"]),
    )
