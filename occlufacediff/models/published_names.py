"""Maps the names of state-dict entries to those of the published checkpoints."""

from __future__ import annotations

import re

#: (pattern, replacement) pairs from our names to published ones, applied one after the other.
_LAYER_PARTS = (
    (r"\.attention\.qkv\.(weight|bias)$", r".self_attn.in_proj_\1"),
    (r"\.attention\.out\.", ".self_attn.out_proj."),
    (r"\.self_attention\.qkv\.(weight|bias)$", r".self_attn.in_proj_\1"),
    (r"\.self_attention\.out\.", ".self_attn.out_proj."),
    (r"\.cross_attention\.qkv\.(weight|bias)$", r".multihead_attn.in_proj_\1"),
    (r"\.cross_attention\.out\.", ".multihead_attn.out_proj."),
    (r"\.grow\.", ".linear1."),
    (r"\.shrink\.", ".linear2."),
    (r"\.norm_attention\.", ".norm1."),
    (r"\.norm_feed_forward\.", ".norm2."),
)
_PRIOR_PARTS = (
    (r"^(en|de)coder\.(layer)\.", r"motion_\1coder.\1coder_transformer.layers.0."),
    (r"^encoder\.squash\.blocks\.(\d)\.conv\.", r"motion_encoder.squasher.\1.0."),
    (r"^encoder\.squash\.blocks\.(\d)\.norm\.", r"motion_encoder.squasher.\1.2."),
    (r"^(en|de)coder\.embed\.", r"motion_\1coder.\1coder_linear_embedding."),
    (r"^encoder\.(mean|logvar)\.", r"motion_encoder.\1."),
    (r"^decoder\.expand\.conv\.", "motion_decoder.expander.0.0."),
    (r"^decoder\.expand\.norm\.", "motion_decoder.expander.0.2."),
    (r"^decoder\.blocks\.0\.conv\.", "motion_decoder.expander.1.0."),
    (r"^decoder\.blocks\.0\.norm\.", "motion_decoder.expander.1.2."),
    (r"^decoder\.blocks\.1\.conv\.", "motion_decoder.expander.2.0."),
    (r"^decoder\.blocks\.1\.norm\.", "motion_decoder.expander.2.2."),
    (r"^decoder\.after\.", "motion_decoder.post_transformer_linear."),
    (r"^decoder\.smooth\.", "motion_decoder.cross_smooth_layer."),
    *_LAYER_PARTS,
)
_DENOISER_PARTS = (
    (r"^landmark_in\.", "lmk_process.inputEmbedding.0."),
    (r"^audio_encoder\.model\.", "audio_encoder."),
    (r"^audio_in\.", "audio_process.inputEmbedding.0."),
    (r"^latent_in\.", "input_process.inputEmbedding.0."),
    (r"^step_in\.", "embed_timestep.time_embed.0."),
    (r"^step_out\.", "embed_timestep.time_embed.2."),
    (r"^out_in\.", "outputprocess_motion.fc.0."),
    (r"^out\.", "outputprocess_motion.fc.2."),
    (r"^squash\.blocks\.(\d)\.conv\.", r"squash_layer.\1.0."),
    (r"^squash\.blocks\.(\d)\.norm\.", r"squash_layer.\1.2."),
)
_ENCODER_PARTS = ((r"^encoder\.(\d+)\.", r"transformer_encoder.layers.\1."), *_LAYER_PARTS)
_DECODER_PARTS = (
    (r"^decoder\.(\d+)\.", r"transformer_decoder.layers.\1."),
    (r"\.norms\.0\.", ".norm1."),
    (r"\.norms\.1\.", ".norm2."),
    (r"\.norms\.2\.", ".norm3."),
    (r"\.films\.0\.linear\.", ".FiLM_linear1."),
    (r"\.films\.1\.linear\.", ".FiLM_linear2."),
    (r"\.films\.2\.linear\.", ".FiLM_linear3."),
    *_LAYER_PARTS,
)

#: Entries of the published denoiser that are computed, not learned. A published checkpoint may contain them.
COMPUTED = frozenset(
    {"tgt_mask", "sequence_pos_encoder.pe", "sequence_pos_decoder.pe", "embed_timestep.sequence_pos_encoder.pe"}
)
#: Buffers that the published models do not have; they keep their initial values (identity).
OURS_ONLY = frozenset({"motion_mean", "motion_std", "latent_mean", "latent_std", "landmark_mean", "landmark_std"})
_OLD_WEIGHT_NORM = {
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
}


def _rename(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def published_prior_name(name: str) -> str:
    """The published name of an entry of the state dict of `MotionPrior`."""
    return _rename(name, _PRIOR_PARTS)


def published_denoiser_name(name: str) -> str:
    """The published name (of newer torch versions) of an entry of the state dict of `Denoiser`."""
    if name.startswith("audio_encoder."):
        return _rename(name, _DENOISER_PARTS)
    if name.startswith("encoder."):
        return _rename(name, _ENCODER_PARTS)
    if name.startswith("decoder."):
        return _rename(name, _DECODER_PARTS)
    return _rename(name, _DENOISER_PARTS)


def new_weight_norm_name(name: str) -> str:
    """The name of a weight-norm parameter in newer torch versions."""
    for new, old in _OLD_WEIGHT_NORM.items():
        name = re.sub(rf"\b{old}$", new, name)
    return name


def old_weight_norm_name(name: str) -> str:
    """The name of a weight-norm parameter in older torch versions."""
    for new, old in _OLD_WEIGHT_NORM.items():
        name = name.replace(new, old)
    return name
