"""What looks like a polyp and is none never enters a mask; flat lesions are fainter; a neutral look shows neither."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from polypda.cohorts.phantom_look import AreaQuantiles, EnhancedLight, LabSpread, MimicFractions
from polypda.phantom import PhantomLook, render_frame
from polypda.phantom.camera import camera_rays, canvas_of, wall_distance
from polypda.phantom.optics import paint
from polypda.phantom.placement import NO_MIMICS, Mimics
from polypda.phantom.polyps import Lobe, bulge, lie_on
from polypda.phantom.scene import Scene, draw_scene
from polypda.phantom.shading import shade

SMALL = PhantomLook(
    sizes_px=((256, 208),),
    negative_fraction=0.0,
    polyps_per_positive_frame=1.0,
    frames_per_sequence=1,
    motion_blurred_fraction=0.0,
    noise_sd=0.0,
    debris_fraction=0.0,
)
EVEN = {"fold_strength": 0.05, "lumen_in_view_fraction": 0.0, "specular_percent": 0.0}
"""An evenly lit wall without highlights, so that colours beside a polyp are those of the mucosa."""
KINDS = ("folds", "bubbles", "stool", "glare")
SCENES = range(5)


def _with(kind: str, **update: object) -> PhantomLook:
    return SMALL.model_copy(update={"mimics": MimicFractions(**{kind: 1.0}), **update})


def _image(look: PhantomLook, scene: Scene) -> np.ndarray:
    canvas = canvas_of(scene.size, look.field_of_view)
    return paint(look, scene, canvas, shade(look, scene, canvas, scene.pose(0.0)))[0]


def _contrast(image: np.ndarray, mask: np.ndarray) -> float:
    """ΔE between a polyp and a band around it."""
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    matt = image.min(axis=2) < 215
    inner, outer = (cv2.dilate(mask, np.ones((side, side), np.uint8)) > 0 for side in (5, 13))
    ring = outer & ~inner & (image.max(axis=2) > 22) & matt
    return float(np.linalg.norm(lab[(mask > 0) & matt].mean(axis=0) - lab[ring].mean(axis=0)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_mimic_is_seen_and_has_no_mask(kind: str) -> None:
    changed = 0
    look = _with(kind, negative_fraction=1.0)
    for index in SCENES:
        image, mask = render_frame(look, seed=3, index=index)
        bare, _ = render_frame(SMALL.model_copy(update={"negative_fraction": 1.0}), seed=3, index=index)
        assert not mask.any()
        changed += np.count_nonzero(np.abs(image.astype(int) - bare).max(axis=2) > 12) > 60
    assert changed >= len(SCENES) - 1


@pytest.mark.parametrize("kind", ("bubbles", "stool", "glare"))
def test_a_mimic_leaves_the_polyps_mask_as_it_was(kind: str) -> None:
    for index in SCENES:
        assert np.array_equal(
            render_frame(_with(kind), seed=3, index=index)[1], render_frame(SMALL, seed=3, index=index)[1]
        )


def test_stool_lies_beside_the_polyp_and_is_yellower_than_the_mucosa() -> None:
    look = _with("stool")
    lumps = 0
    for index in SCENES:
        scene = draw_scene(look, 3, index)
        canvas = canvas_of(scene.size, look.field_of_view)
        coarse = shade(look, scene, canvas, scene.pose(0.0))
        if coarse.covered is None or coarse.covered.max() < 0.9:
            continue
        assert coarse.outline is not None
        assert not ((coarse.covered > 0.5) & (coarse.outline > 0) & canvas.coarse_inside).any()
        bare = shade(look, replace(scene, mimics=NO_MIMICS), canvas, scene.pose(0.0))
        lump = (coarse.covered > 0.9) & canvas.coarse_inside
        lab, clean = (cv2.cvtColor(each.wall / np.float32(255), cv2.COLOR_RGB2LAB)[lump] for each in (coarse, bare))
        lumps += 1
        assert (lab[:, 2] - lab[:, 1]).mean() > (clean[:, 2] - clean[:, 1]).mean() + 5
    assert lumps >= 3


def test_a_mound_swells_the_wall_towards_the_camera_and_ends() -> None:
    rays = camera_rays(121, 121, 60.0, (60.5, 60.5))
    bare = wall_distance(rays, np.zeros(3), ())
    swollen = bare.copy()
    lobe = Lobe(np.array([1.0, 0.0, 1.2]), 0.3, np.array([-1.0, 0.0, 0.0]), 0.6)
    bulge(rays, np.zeros(3), swollen, (lobe,))
    away = np.linalg.norm(np.stack([bare * rays.x, bare * rays.y, bare * rays.z], -1) - lobe.centre, axis=-1)
    raised = bare - swollen
    assert raised[away < 0.1].min() > 0.9 * 0.6 * 0.3
    assert raised.max() <= 0.6 * 0.3 + 1e-5 and raised.min() >= 0
    assert raised[away > 0.6].max() < 1e-3


def test_a_flat_lesion_is_the_wall_within_its_lobes() -> None:
    rays = camera_rays(241, 241, 120.0, (120.5, 120.5))
    wall = wall_distance(rays, np.zeros(3), ())
    lobe = Lobe(np.array([1.0, 0.0, 1.0]), 0.3, np.array([-1.0, 0.0, 0.0]), 1.0)
    solid = lie_on(rays, np.zeros(3), wall, (lobe,), 0.1)
    away = np.linalg.norm(np.stack([wall * rays.x, wall * rays.y, wall * rays.z], -1) - lobe.centre, axis=-1)
    assert np.array_equal(solid.inside > 0, away < 0.3) and (solid.inside > 0).sum() > 200
    assert np.array_equal(solid.distance[away > 0.3], wall[away > 0.3])
    assert (wall - solid.distance)[away < 0.2].min() == pytest.approx(0.03, abs=1e-4)


def test_flat_lesions_are_fainter_than_bulging_ones_at_the_same_size() -> None:
    contrast: dict[float, list[float]] = {0.0: [], 1.0: []}
    area: dict[float, list[float]] = {0.0: [], 1.0: []}
    sizes = AreaQuantiles(q10=3, q50=5, q90=8)
    for share in contrast:
        look = SMALL.model_copy(
            update={**EVEN, "flat_fraction": share, "polyp_local_lightness": 14.0, "polyp_area_percent": sizes}
        )
        for index in range(8):
            image, mask = render_frame(look, seed=4, index=index)
            contrast[share].append(_contrast(image, mask))
            area[share].append(np.count_nonzero(mask) / mask.size)
    assert np.median(contrast[1.0]) < 0.7 * np.median(contrast[0.0])
    assert min(contrast[1.0]) > 2.0  # faint, yet there
    assert np.median(area[1.0]) == pytest.approx(np.median(area[0.0]), rel=0.3)


def test_the_fraction_of_flat_lesions_is_the_looks() -> None:
    look = SMALL.model_copy(update={"flat_fraction": 0.4})
    flat = [draw_scene(look, 6, index).polyps[0].elevation is not None for index in range(40)]
    assert 0.3 <= np.mean(flat) <= 0.5


def test_local_lightness_lowers_local_contrast_more_than_the_global_one() -> None:
    def figures(local: float | None) -> tuple[float, float]:
        look = SMALL.model_copy(
            update={"polyp_contrast": LabSpread(lightness=20, a=6, b=7), **EVEN, "polyp_local_lightness": local}
        )
        near, wide = [], []
        for index in range(9):
            image, mask = render_frame(look, seed=8, index=index)
            near.append(_contrast(image, mask))
            lightness = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0]
            lit = image.max(axis=2) > 22
            wide.append(float(lightness[mask > 0].mean() - lightness[lit & (mask == 0)].mean()))
        return float(np.median(near)), float(np.median(wide))

    (free_near, free_wide), (near, wide) = figures(None), figures(6.0)
    assert near < 0.6 * free_near
    assert wide > 0.5 * free_wide  # the surroundings were lit with it, not the polyp dimmed alone


def test_glare_gathers_highlights_without_adding_any() -> None:
    shine = {"negative_fraction": 1.0, "specular_percent": 2.0}

    def whites(look: PhantomLook) -> tuple[float, float]:
        """Mean of the highlights' area and of how large a part of it lies within one eighth of the frame's side."""
        white = [(_image(look, draw_scene(look, 3, index)).min(axis=2) > 235).astype(np.float32) for index in SCENES]
        gathered = [cv2.blur(each, (41, 41)).max() * 41**2 / each.sum() for each in white]
        return float(np.mean([each.sum() for each in white])), float(np.mean(gathered))

    (total, gathered), (glare_total, glare_gathered) = (
        whites(SMALL.model_copy(update=shine)),
        whites(_with("glare", **shine)),
    )
    assert glare_total == pytest.approx(total, rel=0.35)
    assert glare_gathered > 1.2 * gathered


def test_dye_turns_sprayed_sequences_blue_and_no_others() -> None:
    dyed = SMALL.model_copy(update={"dye_fraction": 0.5})
    scenes = [(draw_scene(SMALL, 2, index), draw_scene(dyed, 2, index)) for index in range(12)]
    sprayed = [after for before, after in scenes if after.dye]
    assert 2 <= len(sprayed) <= 10
    for before, after in scenes:
        assert (after.colour == before.colour) is (after.dye == 0.0)
        if after.dye:
            blue = (_image(dyed, after).astype(float) - _image(SMALL, before))[..., 2].mean()
            assert after.colour[2] < before.colour[2] - 5 and blue > 3


def test_enhanced_light_changes_its_fraction_of_sequences_and_no_others() -> None:
    light = EnhancedLight(
        mode="FICE",
        fraction=0.25,
        colour=LabSpread(lightness=41, a=13, b=31),
        colour_between_frames_sd=LabSpread(lightness=6, a=4, b=5),
        polyp_contrast=LabSpread(lightness=20, a=6, b=17),
        vessel_contrast=0.8,
    )
    look = SMALL.model_copy(update={"enhanced_light": light})
    scenes = [(draw_scene(SMALL, 2, index), draw_scene(look, 2, index)) for index in range(24)]
    changed = [(before, after) for before, after in scenes if before.colour != after.colour]
    assert 5 <= len(changed) <= 7  # evenly spread: a quarter of 24
    assert np.mean([after.colour[2] for _, after in changed]) == pytest.approx(31, abs=4)
    assert all(after.folds == before.folds and after.polyps for before, after in changed)
    assert look.digest() != SMALL.digest()


def test_a_neutral_look_draws_no_mimic() -> None:
    for index in SCENES:
        scene = draw_scene(SMALL, 0, index)
        assert (scene.mimics.knobs, scene.mimics.lumps, scene.mimics.foam, scene.mimics.glare) == ((), (), 0.0, 0.0)
        assert scene.dye == 0.0 and scene.polyps[0].elevation is None and scene.polyps[0].local_lightness is None


def test_mimics_are_the_same_whenever_they_are_drawn() -> None:
    look = SMALL.model_copy(
        update={"mimics": MimicFractions(folds=1, bubbles=1, stool=1, glare=1), "dye_fraction": 0.5}
    )
    first = [render_frame(look, seed=1, index=index) for index in (5, 0)]
    again = [render_frame(look, seed=1, index=index) for index in (0, 5)][::-1]
    assert all(
        np.array_equal(a, b) for one, other in zip(first, again, strict=True) for a, b in zip(one, other, strict=True)
    )
    assert isinstance(draw_scene(look, 1, 0).mimics, Mimics)
