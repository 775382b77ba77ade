"""What a rendered frame promises: reproducible bytes, an exact mask, the scope's outline, real occlusion."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest

from polypda.cohorts.field_of_view import find_field_of_view
from polypda.cohorts.phantom_look import AreaQuantiles, FieldOfViewLook, Inset
from polypda.cohorts.phantom_look import FieldOfViewShape as FieldShape
from polypda.phantom import PhantomLook, cohort_seed, render_frame
from polypda.phantom.camera import Fold, Pose, camera_rays, canvas_of, wall_distance
from polypda.phantom.optics import paint
from polypda.phantom.placement import Polyp
from polypda.phantom.polyps import Lobe, trace
from polypda.phantom.scene import draw_scene
from polypda.phantom.shading import shade

SMALL = PhantomLook(sizes_px=((256, 208),), negative_fraction=0.0, polyps_per_positive_frame=1.0)


def _digest(look: PhantomLook, seed: int, index: int) -> str:
    image, mask = render_frame(look, seed=seed, index=index)
    return hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest()


def test_a_frame_is_the_same_in_another_process() -> None:
    code = (
        "import hashlib\n"
        "from polypda.phantom import PhantomLook, render_frame\n"
        f"look = PhantomLook.model_validate_json({SMALL.model_dump_json()!r})\n"
        "image, mask = render_frame(look, seed=3, index=6)\n"
        "print(hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest())\n"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    for index in (0, 9):  # what was rendered before must not matter
        render_frame(SMALL, seed=3, index=index)
    assert _digest(SMALL, 3, 6) == other


def test_seeds_frames_and_cohorts_differ() -> None:
    digests = {_digest(SMALL, seed, index) for seed in (0, 1) for index in (0, 1, 4)}
    assert len(digests) == 6
    assert len({cohort_seed(cohort, seed) for cohort in ("zju2", "haining") for seed in (0, 1)}) == 4


@pytest.mark.parametrize("index", [0, 5, 10])
def test_the_mask_is_exactly_where_the_polyp_is_painted(index: int) -> None:
    scene = replace(draw_scene(SMALL, 2, index), specular_percent=0.0)
    canvas = canvas_of(scene.size, SMALL.field_of_view)
    coarse = shade(SMALL, scene, canvas, scene.pose(0.0))
    assert coarse.polyp is not None
    dark, mask = paint(SMALL, scene, canvas, replace(coarse, polyp=np.zeros_like(coarse.polyp)))
    white, same_mask = paint(SMALL, scene, canvas, replace(coarse, polyp=np.full_like(coarse.polyp, 255.0)))
    painted = (white.astype(int) - dark).max(axis=2) > 110  # about half covered
    painted &= canvas.outline[..., 0] > 127
    assert np.array_equal(mask, same_mask) and mask.any()
    assert np.count_nonzero(painted ^ (mask > 0)) <= 0.02 * np.count_nonzero(mask) + 2


def test_neighbouring_frames_show_the_same_polyp_moved() -> None:
    masks = [render_frame(SMALL, seed=5, index=index)[1] > 0 for index in range(4)]
    overlaps = [np.sum(a & b) / np.sum(a | b) for a, b in pairwise(masks)]
    assert all(0.05 < overlap < 1.0 for overlap in overlaps), overlaps
    assert not np.array_equal(render_frame(SMALL, seed=5, index=3)[1], render_frame(SMALL, seed=5, index=4)[1])


def test_a_wall_on_the_axis_lies_at_one_over_the_sine() -> None:
    rays = camera_rays(121, 121, 60.0, (60.5, 60.5))
    distance = wall_distance(rays, np.zeros(3), ())
    angle = np.arccos(rays.z.astype(np.float64))
    seen = (angle > 0.2) & (angle < 1.4)
    np.testing.assert_allclose(distance[seen], 1.0 / np.sin(angle[seen]), rtol=1e-3)


def test_a_sphere_has_its_analytic_silhouette_and_distance() -> None:
    rays = camera_rays(300, 300, 150.0, (150.0, 150.0))
    sphere = Lobe(np.array([0.0, 0.0, 2.0]), 0.5, np.array([0.0, 0.0, 1.0]), 1.0)
    solid = trace(rays, np.zeros(3), (sphere,))
    # Equidistant projection: a sphere on the axis is a disc whose radius is asin(r/d).
    expected = np.pi * (np.arcsin(0.25) / rays.angle_step) ** 2
    assert np.count_nonzero(solid.inside > 0) == pytest.approx(expected, rel=0.01)
    assert solid.distance[solid.inside > 0].min() == pytest.approx(1.5, abs=2e-3)


@pytest.mark.filterwarnings("error")
def test_a_polyp_at_the_lens_is_still_painted() -> None:
    scene = draw_scene(SMALL, 2, 0)
    axis = np.array([0.0, 0.0, -1.0])
    lobes = tuple(Lobe(np.array([x, 0.0, 1.0]), 0.95, axis, 1.0) for x in (-0.3, 0.3))
    near = replace(scene, polyps=(Polyp(lobes, (16.0, 6.0, 7.0), 0.5, 0.1, (0, 0)),), folds=())
    canvas = canvas_of(scene.size, SMALL.field_of_view)
    coarse = shade(SMALL, near, canvas, Pose(np.zeros(3), np.eye(3)))
    assert coarse.polyp is not None and np.isfinite(coarse.polyp).all() and np.isfinite(coarse.wall).all()
    mask = paint(SMALL, near, canvas, coarse)[1]
    assert np.count_nonzero(mask) > 0.4 * np.count_nonzero(canvas.outline[..., 0] > 127)
    assert coarse.polyp[canvas.coarse_inside].mean() > 40


def test_a_fold_hides_the_polyp_behind_it() -> None:
    scene = draw_scene(SMALL, 2, 0)
    axis = np.array([0.0, 0.0, 1.0])
    lobe = Lobe(np.array([0.6, 0.0, 3.0]), 0.35, axis, 1.0)
    polyp = Polyp((lobe,), (16.0, 6.0, 7.0), 0.2, 0.0, (0, 0))
    open_scene = replace(scene, polyps=(polyp,), folds=())
    curtain = Fold(z=1.6, height=0.75, width=0.1, side=0.0, reach=0.0, lobes=0.0, turn=0.0, centre=(0.0, 0.0))
    canvas = canvas_of(scene.size, SMALL.field_of_view)
    pose = Pose(np.zeros(3), np.eye(3))
    masks = [
        paint(SMALL, each, canvas, shade(SMALL, each, canvas, pose))[1]
        for each in (open_scene, replace(open_scene, folds=(curtain,)))
    ]
    assert np.count_nonzero(masks[0]) > 100
    assert np.count_nonzero(masks[1]) < 0.35 * np.count_nonzero(masks[0])


@pytest.mark.parametrize("shape", list(FieldShape))
def test_the_field_of_view_is_found_where_it_was_drawn(shape: FieldShape) -> None:
    field = FieldOfViewLook(shape=shape, width_fraction=0.9, height_fraction=0.96, corner_fraction=0.22)
    look = SMALL.model_copy(update={"field_of_view": field, "rim_to_centre": 1.1, "lumen_in_view_fraction": 1.0})
    image, mask = render_frame(look, seed=1, index=0)
    canvas = canvas_of((256, 208), field)
    drawn = np.zeros(mask.shape, bool)
    index = (slice(canvas.top, canvas.top + canvas.height), slice(canvas.left, canvas.left + canvas.width))
    drawn[index] = canvas.outline[..., 0] > 127
    found = find_field_of_view(image).mask
    assert np.sum(found & drawn) / np.sum(found | drawn) > 0.93
    assert not (mask.astype(bool) & ~drawn).any()
    assert set(np.unique(mask)) <= {0, 255}


def test_negative_fraction_and_inset() -> None:
    negative = SMALL.model_copy(update={"negative_fraction": 1.0})
    assert not any(render_frame(negative, seed=0, index=index)[1].any() for index in range(0, 12, 4))
    update = {"inset": Inset.GREEN, "inset_fraction": 1.0, "polyp_area_percent": AreaQuantiles(q10=30, q50=40, q90=50)}
    image, mask = render_frame(SMALL.model_copy(update=update), seed=0, index=0)
    corner = image[-30:, :40].reshape(-1, 3).astype(int)
    assert np.all(np.median(corner, axis=0) == (46, 180, 142))
    assert not mask[-60:, :60].any()  # what the inset covers is not seen


def test_interlacing_moves_every_second_row() -> None:
    still = SMALL.model_copy(update={"interlaced": False})
    combed = SMALL.model_copy(update={"interlaced": True})
    shifts = set()
    for index in range(6):
        first, mask = render_frame(still, seed=9, index=index)
        second, combed_mask = render_frame(combed, seed=9, index=index)
        inside = (slice(60, 140), slice(70, 180))
        assert np.array_equal(first[inside][::2], second[inside][::2])
        assert np.array_equal(mask, combed_mask)
        odd = second[inside][1::2]
        matches = [s for s in range(-3, 4) if np.array_equal(np.roll(first, s, axis=1)[inside][1::2], odd)]
        assert len(matches) == 1
        shifts.add(matches[0])
    assert len(shifts) > 1


def test_area_follows_the_look() -> None:
    medians = {}
    for name, area in (
        ("small", AreaQuantiles(q10=0.7, q50=1.5, q90=3)),
        ("large", AreaQuantiles(q10=8, q50=16, q90=30)),
    ):
        look = SMALL.model_copy(update={"polyp_area_percent": area, "frames_per_sequence": 1})
        canvas = canvas_of((256, 208), look.field_of_view)
        lit = np.count_nonzero(canvas.outline[..., 0] > 127)
        areas = [100 * np.count_nonzero(render_frame(look, seed=4, index=index)[1]) / lit for index in range(16)]
        medians[name] = float(np.median(areas))
    assert medians["small"] == pytest.approx(1.5, rel=0.35)
    assert medians["large"] == pytest.approx(16, rel=0.35)


def test_a_look_refuses_unknown_keys_and_crossed_quantiles() -> None:
    with pytest.raises(ValueError, match="extra"):
        PhantomLook.model_validate({"colour_of_the_moon": 1})
    with pytest.raises(ValueError, match="must rise"):
        AreaQuantiles(q10=5, q50=4, q90=9)


def test_blur_and_noise_do_what_they_say() -> None:
    def sharpness(**update: float) -> float:
        image, _ = render_frame(SMALL.model_copy(update={"motion_blurred_fraction": 0.0, **update}), seed=1, index=0)
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[50:150, 60:190]
        return float(cv2.Laplacian(grey, cv2.CV_32F).std())

    crisp, soft = sharpness(softness_px=0.0, noise_sd=0.0), sharpness(softness_px=3.0, noise_sd=0.0)
    assert soft < 0.6 * crisp
    assert sharpness(softness_px=3.0, noise_sd=8.0) > 2 * soft
