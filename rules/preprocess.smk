# 25 fps video, 16 kHz audio, landmarks and crops of each subject.
rule convert_video:
    input:
        index=f"{RESULTS}/raw/{{subject}}/index.csv",
        chunks=of_chunks(f"{RESULTS}/video25/{{subject}}/index.csv"),
    output:
        index=f"{RESULTS}/video25/{{subject}}/index.csv",
    log:
        f"{LOGS}/convert_video/{{subject}}.log",
    benchmark:
        f"{LOGS}/convert_video/{{subject}}.tsv"
    threads: shard_threads()
    resources:
        mem_mb=scaled_by_attempt(500, each=700),
        runtime=240,
    params:
        settings=as_params(cfg.conversion),
        code=fingerprint("occlufacediff.stages.video"),
    message:
        "{wildcards.subject}: video at 25 fps"
    conda:
        "../envs/preprocess.yaml"
    script:
        "../scripts/convert_video.py"


rule extract_audio:
    input:
        index=f"{RESULTS}/raw/{{subject}}/index.csv",
        chunks=of_chunks(f"{RESULTS}/audio/{{subject}}.h5", f"{RESULTS}/audio/{{subject}}.csv"),
    output:
        audio=f"{RESULTS}/audio/{{subject}}.h5",
        index=f"{RESULTS}/audio/{{subject}}.csv",
    log:
        f"{LOGS}/extract_audio/{{subject}}.log",
    benchmark:
        f"{LOGS}/extract_audio/{{subject}}.tsv"
    threads: shard_threads()
    resources:
        mem_mb=scaled_by_attempt(500, each=400),
        runtime=60,
    params:
        settings=as_params(cfg.audio),
        code=fingerprint("occlufacediff.stages.audio"),
    message:
        "{wildcards.subject}: audio at 16 kHz"
    conda:
        "../envs/preprocess.yaml"
    script:
        "../scripts/extract_audio.py"


if cfg.landmarks.source == "emote":

    rule read_emote_landmarks:
        input:
            index=f"{RESULTS}/video25/{{subject}}/index.csv",
            published=local(f"{emote_landmarks(cfg)}/{{subject}}/{cfg.acquire.view}"),
            chunks=of_chunks(f"{RESULTS}/landmarks/{{subject}}.h5", f"{RESULTS}/landmarks/{{subject}}.csv"),
        output:
            landmarks=f"{RESULTS}/landmarks/{{subject}}.h5",
            index=f"{RESULTS}/landmarks/{{subject}}.csv",
        log:
            f"{LOGS}/read_emote_landmarks/{{subject}}.log",
        benchmark:
            f"{LOGS}/read_emote_landmarks/{{subject}}.tsv"
        threads: shard_threads()
        resources:
            mem_mb=scaled_by_attempt(1000, each=300),
            runtime=240,
        params:
            settings=as_params(cfg.emote),
            min_found=cfg.landmarks.min_found,
            code=fingerprint("occlufacediff.stages.emote_landmarks"),
        message:
            "{wildcards.subject}: EMOTE's landmarks"
        conda:
            "../envs/preprocess.yaml"
        script:
            "../scripts/read_emote_landmarks.py"

else:

    rule detect_landmarks:
        input:
            index=f"{RESULTS}/video25/{{subject}}/index.csv",
            chunks=of_chunks(f"{RESULTS}/landmarks/{{subject}}.h5", f"{RESULTS}/landmarks/{{subject}}.csv"),
        output:
            landmarks=f"{RESULTS}/landmarks/{{subject}}.h5",
            index=f"{RESULTS}/landmarks/{{subject}}.csv",
        log:
            f"{LOGS}/detect_landmarks/{{subject}}.log",
        benchmark:
            f"{LOGS}/detect_landmarks/{{subject}}.tsv"
        threads: shard_threads()
        resources:
            mem_mb=scaled_by_attempt(500, each=600),
            runtime=240,
        params:
            settings=as_params(cfg.landmarks),
            code=fingerprint("occlufacediff.stages.landmarks"),
        message:
            "{wildcards.subject}: landmarks"
        conda:
            "../envs/preprocess.yaml"
        script:
            "../scripts/detect_landmarks.py"


rule crop_faces:
    input:
        index=f"{RESULTS}/video25/{{subject}}/index.csv",
        landmarks=f"{RESULTS}/landmarks/{{subject}}.h5",
        model=VISIBILITY_MODEL,
        chunks=of_chunks(f"{RESULTS}/clips/{{subject}}.h5", f"{RESULTS}/clips/{{subject}}.csv"),
    output:
        clips=f"{RESULTS}/clips/{{subject}}.h5",
        index=f"{RESULTS}/clips/{{subject}}.csv",
    log:
        f"{LOGS}/crop_faces/{{subject}}.log",
    benchmark:
        f"{LOGS}/crop_faces/{{subject}}.tsv"
    threads: shard_threads()
    resources:
        mem_mb=scaled_by_attempt(500, each=400),
        runtime=240,
    params:
        settings=as_params(cfg.crop),
        visibility=as_params(cfg.visibility),
        masks=lambda wildcards: masks_state(cfg.visibility, wildcards.subject),
        code=fingerprint("occlufacediff.stages.crop"),
    message:
        "{wildcards.subject}: crops and normalised landmarks"
    conda:
        "../envs/preprocess.yaml"
    script:
        "../scripts/crop_faces.py"
