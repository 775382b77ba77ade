"""Starting points: what a run is unless the user says otherwise.

``quick`` is for a first look on a laptop, without weights; it was tuned on another pair of phantoms than the README's.
``standard`` is for real frames with a pretrained encoder. ``published`` has AdaptSegNet's published hyper-parameters.
"""

from __future__ import annotations

from typing import Any

from polypda.errors import UsageError, nearest
from polypda.methods.adda_options import PUBLISHED as ADDA_RELEASED
from polypda.methods.lsd_options import PUBLISHED as LSD_PUBLISHED
from polypda.stylisation.settings import PUBLISHED as AAN_PUBLISHED

_ADAMW = {"optimizer": "adamw", "weight_decay": 1e-4, "seg_loss": "ce+dice"}
# the published game (λ_seg 5 beside a full reversal) on the preset's learning rate, on a restyled source
_FCAN = {"stylise": True, "lambda_seg": 1.0, "lambda_adv": 0.2, "aan_target_frames": 64}

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        # Of the small networks tried, the one that learns most from scratch in a minute.
        "network": {"architecture": "unet", "encoder": "tu-resnet10t", "levels": 2},
        "data": {"size": 64, "batch_size": 8, "augmentation": "light"},
        "compute": {"threads": 1},
        "start_steps": 200,
        "adapt_steps": 40,
        "supervised": {**_ADAMW, "rate": 3e-4, "head_factor": 1.0},
        "start": {"rate": 2e-3, "warmup": 10},
        "options": {
            "adaptsegnet": {
                "lambda_adv_main": 1e-2,
                "lambda_adv_aux": 2e-3,
                "ramp": 10,
                "discriminator_width": 16,
                "discriminator_layers": 4,
                "discriminator_rate": 1e-3,
            },
            # the published widths (64 million weights) are for street scenes at 640 px
            "lsd": {"generator_width": 16, "discriminator_width": 32},
            "fcan": {**_FCAN, "ramp": 10, "aan_steps": 10},
            "fcn-wild": {"ramp": 10},
        },
        "final_statistics": "target",
        "checkpoint_every": 20,
        "phantom_frames": 300,
    },
    "standard": {
        "network": {"architecture": "deeplabv3plus", "encoder": "mobilenet_v2", "levels": 2},
        "data": {"size": 192, "batch_size": 4, "augmentation": "standard"},
        "compute": {},
        "start_steps": 500,
        "adapt_steps": 200,
        "supervised": {**_ADAMW, "rate": 1e-4, "head_factor": 5.0},
        "start": {"rate": 2e-4, "warmup": 20},
        "options": {
            "adaptsegnet": {
                "lambda_adv_main": 5e-3,
                "lambda_adv_aux": 1e-3,
                "ramp": 50,
                "discriminator_rate": 2.5e-4,
            },
            # a quarter of the published widths: those (64 million weights) are for street scenes
            "lsd": {"generator_width": 16, "discriminator_width": 32},
            "fcan": {**_FCAN, "ramp": 50, "aan_steps": 20},
            "fcn-wild": {"ramp": 50},
            "adda": {"discriminator_warmup": 30},
            # 0.999 would average over more steps than this preset has
            **{name: {"ema_alpha": 0.99} for name in ("mean-teacher", "mic", "polyp-mix")},
        },
        "batch_norm": "frozen",
        "checkpoint_every": 50,
        "phantom_frames": 300,
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
            "fcan": {"stylise": True, **AAN_PUBLISHED.model_dump(mode="json", exclude_none=True)},
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
