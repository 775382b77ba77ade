"""Starting points: what a run is unless the user says otherwise.

``quick`` is for a first look on a laptop; it was tuned on another pair of phantoms than the README's (ningbo →
bkai-neopolyp). ``standard`` is for real frames. Both start from bundled ImageNet weights. ``published`` has
AdaptSegNet's published hyper-parameters.
"""

from __future__ import annotations

from typing import Any

from polypda.errors import UsageError, nearest
from polypda.methods.adda import PUBLISHED as ADDA_RELEASED
from polypda.methods.lsd import PUBLISHED as LSD_PUBLISHED
from polypda.networks.encoder_weights import BUNDLED
from polypda.stylization.appearance import PUBLISHED as AAN_PUBLISHED

BUNDLED_ENCODER = "tu-tf_efficientnet_lite0"
_LIGHT_FPN = {
    "architecture": "fpn",
    "encoder": BUNDLED_ENCODER,
    "decoder": {"decoder_pyramid_channels": 96, "decoder_segmentation_channels": 64},
    "levels": 1,
}
_ONE_CYCLE = {
    "optimizer": "adamw",
    "weight_decay": 1e-2,
    "seg_loss": "ce+frame-dice",
    "decay": "cosine",
    "warmup_fraction": 0.1,
    "decoder_factor": 3.0,
    "head_factor": 3.0,
}
# the published game (λ_seg 5 beside a full reversal) on the preset's learning rate, on a restyled source
_FCAN = {"stylize": True, "lambda_seg": 1.0, "lambda_adv": 0.2, "aan_target_frames": 64}

_TRAINED = {
    "network": _LIGHT_FPN,
    "encoder_weights": BUNDLED,
    "supervised": {**_ONE_CYCLE, "learning_rate": 3e-4},
    "start": {"learning_rate": 5e-4},
    "clip_norm": 1.0,
    "batch_norm": "train",
    # Strong changes are part of what the statistics describe: on unchanged frames they are another network's.
    "recompute_batch_norm": False,
    "phantom_frames": 300,
}
"""What ``quick`` and ``standard`` share."""

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        **_TRAINED,
        # a fifth of 300 frames is too few to see what an adaptation does
        "phantom_test_frames": 100,
        "data": {"size": 128, "batch_size": 8, "augmentation": "strong"},
        "compute": {"threads": 2, "trainings_at_once": 2},
        "start_steps": 480,
        "adapt_steps": 120,
        "options": {
            "adaptsegnet": {
                "lambda_adv_main": 1e-2,
                "ramp": 20,
                "discriminator_width": 16,
                "discriminator_layers": 4,
                "discriminator_learning_rate": 1e-3,
            },
            # the published widths (64 million weights) are for street scenes at 640 px
            "lsd": {"generator_width": 16, "discriminator_width": 32},
            "fcan": {**_FCAN, "ramp": 10, "aan_steps": 10},
            "fcn-wild": {"ramp": 10},
        },
        # a short training is sure of little
        "inference": {"scales": (1.0, 1.5), "flips": True, "peak": 0.8},
        "final_statistics": "target",
        "checkpoint_every": 60,
        "parts": "first",
    },
    "standard": {
        **_TRAINED,
        "data": {"size": 192, "batch_size": 8, "augmentation": "strong"},
        "compute": {},
        "start_steps": 1200,
        "adapt_steps": 700,
        "options": {
            "adaptsegnet": {
                "lambda_adv_main": 1e-2,
                "ramp": 50,
                "discriminator_width": 32,
                "discriminator_layers": 4,
                "discriminator_learning_rate": 2.5e-4,
            },
            # a quarter of the published widths: those (64 million weights) are for street scenes
            "lsd": {"generator_width": 16, "discriminator_width": 32},
            "fcan": {**_FCAN, "ramp": 50, "aan_steps": 20},
            "fcn-wild": {"ramp": 50},
            "adda": {"discriminator_warmup": 30},
        },
        # public cohorts hold few frames without a polyp, and a model that saw none marks something on every frame: what
        # it marks there has low peaks
        "inference": {"scales": (1.0, 2.0), "flips": True, "peak": 0.9},
        "checkpoint_every": 175,
    },
    "published": {
        "network": {"architecture": "deeplab-v2", "encoder": "resnet101", "levels": 2},
        "data": {"size": 352, "batch_size": 1, "augmentation": "none"},
        "compute": {},
        "start_steps": 150_000,
        "adapt_steps": 150_000,
        "supervised": {"horizon": 250_000},
        "start": {},
        "options": {
            "adda": ADDA_RELEASED,
            "fcan": {"stylize": True, **AAN_PUBLISHED.model_dump(mode="json", exclude_none=True)},
            "lsd": LSD_PUBLISHED["released"],
        },
        "batch_norm": "affine-frozen",
        "checkpoint_every": 5_000,
        "phantom_frames": 300,
    },
}


def preset(name: str) -> dict[str, Any]:
    """A preset by name. Raises: UsageError E_PRESET_UNKNOWN."""
    if name not in PRESETS:
        raise UsageError(
            "E_PRESET_UNKNOWN",
            f"there is no preset '{name}'.{nearest(name, PRESETS)}",
            fix=f"choose one of {', '.join(PRESETS)}.",
        )
    return PRESETS[name]
