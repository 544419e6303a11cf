# Archives in MEAD's layout: made here, or local ones; then unpacked.
rule synthesise_subject:
    input:
        head=HEAD,
    output:
        video=f"{D}/archives/{{subject}}/video.tar",
        audio=f"{D}/archives/{{subject}}/audio.tar",
        sentences=f"{D}/archives/{{subject}}/sentences.csv",
        truth=f"{D}/truth/{{subject}}.h5",
    log:
        f"{LOGS}/synthesise_subject/{{subject}}.log",
    benchmark:
        f"{BENCHMARKS}/synthesise_subject/{{subject}}.tsv"
    threads: shard_threads()
    resources:
        mem_mb=1500,
        runtime=120,
    params:
        settings=as_params(cfg.synthetic),
        seed=cfg.seed,
        code=fingerprint("occlufacediff.stages.synthesise"),
    message:
        "{wildcards.subject}: make talking faces and their archives"
    conda:
        "../envs/synthetic.yaml"
    script:
        "../scripts/synthesise_subject.py"


rule unpack_subject:
    input:
        video=f"{ARCHIVES}/{{subject}}/video.tar",
        audio=audio_tar,
    output:
        index=f"{D}/raw/{{subject}}/index.csv",
    log:
        f"{LOGS}/unpack_subject/{{subject}}.log",
    benchmark:
        f"{BENCHMARKS}/unpack_subject/{{subject}}.tsv"
    threads: 1
    resources:
        mem_mb=500,
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
