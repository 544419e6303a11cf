# Archives in MEAD's layout (generated, downloaded or local), then unpacked. Licensed files, for the target `fetch`.
# The fetch rules have no `code`: a change of the program must not download hundreds of gigabytes again. The identities of
# the files are their params.
if cfg.source == "download":

    localrules:
        fetch_archive,

    rule fetch_archive:
        output:
            archive=rf"{RESULTS}/archives/{{subject}}/{{archive,video\.tar|audio\.tar|sentences\.csv}}",
        log:
            f"{LOGS}/fetch_archive/{{subject}}/{{archive}}.log",
        benchmark:
            f"{LOGS}/fetch_archive/{{subject}}/{{archive}}.tsv"
        threads: 1
        resources:
            mem_mb=scaled_by_attempt(300),
            runtime=1440,
            downloads=1,
        params:
            file=fetched_from,
        message:
            f"{{wildcards.subject}}: fetch {{wildcards.archive}} ({notice(['mead'])})"
        conda:
            "../envs/preprocess.yaml"
        script:
            "../scripts/fetch_archive.py"

elif cfg.source == "synthetic":

    rule synthesise_subject:
        input:
            head=HEAD,
        output:
            video=f"{RESULTS}/archives/{{subject}}/video.tar",
            audio=f"{RESULTS}/archives/{{subject}}/audio.tar",
            sentences=f"{RESULTS}/archives/{{subject}}/sentences.csv",
            truth=f"{RESULTS}/truth/{{subject}}.h5",
        log:
            f"{LOGS}/synthesise_subject/{{subject}}.log",
        benchmark:
            f"{LOGS}/synthesise_subject/{{subject}}.tsv"
        threads: shard_threads()
        resources:
            mem_mb=scaled_by_attempt(500, each=500),
            runtime=120,
        params:
            settings=as_params(cfg.synthetic),
            seed=cfg.seed,
            code=fingerprint("occlufacediff.stages.synthesise"),
        message:
            "{wildcards.subject}: generate clips and archives"
        conda:
            "../envs/synthetic.yaml"
        script:
            "../scripts/synthesise_subject.py"


localrules:
    fetch_asset,


rule fetch_asset:
    output:
        index="resources/licensed/{asset}/index.csv",
    log:
        f"{LOGS}/fetch_asset/{{asset}}.log",
    benchmark:
        f"{LOGS}/fetch_asset/{{asset}}.tsv"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(500),
        runtime=1440,
        downloads=1,
    params:
        files=asset_from,
    message:
        "{wildcards.asset}: fetch and unpack licensed files ({params.files[0]})"
    conda:
        "../envs/preprocess.yaml"
    script:
        "../scripts/fetch_asset.py"


if cfg.source == "videos":

    rule index_videos:
        input:
            videos=lambda wildcards: local(usable_videos(wildcards.subject)),
        output:
            index=f"{RESULTS}/raw/{{subject}}/index.csv",
            sentences=f"{RESULTS}/raw/{{subject}}/sentences.csv",
        log:
            f"{LOGS}/index_videos/{{subject}}.log",
        benchmark:
            f"{LOGS}/index_videos/{{subject}}.tsv"
        threads: 1
        resources:
            mem_mb=scaled_by_attempt(300),
            runtime=10,
        params:
            videos=lambda wildcards: [asdict(video) for video in ordinary_videos(cfg)[wildcards.subject]],
            code=fingerprint("occlufacediff.stages.ordinary_videos"),
        message:
            "{wildcards.subject}: list videos"
        conda:
            "../envs/preprocess.yaml"
        script:
            "../scripts/index_videos.py"

else:

    rule unpack_subject:
        input:
            video=video_tar,
            audio=audio_tar,
        output:
            index=f"{RESULTS}/raw/{{subject}}/index.csv",
        log:
            f"{LOGS}/unpack_subject/{{subject}}.log",
        benchmark:
            f"{LOGS}/unpack_subject/{{subject}}.tsv"
        threads: 1
        resources:
            mem_mb=scaled_by_attempt(800),
            runtime=120,
        params:
            settings=as_params(cfg.acquire),
            code=fingerprint("occlufacediff.stages.acquire"),
        message:
            "{wildcards.subject}: unpack video and audio"
        conda:
            "../envs/preprocess.yaml"
        script:
            "../scripts/unpack_subject.py"
