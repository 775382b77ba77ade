"""From the coarse image to the frame: paint, lens, sensor, and what the processor adds around the field of view."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.phantom_look import BurnedInText, Inset, PhantomLook
from polypda.phantom.camera import Canvas, Plane
from polypda.phantom.scene import Scene
from polypda.phantom.shading import CoarseImage
from polypda.phantom.textures import GRAIN_SD, GRAIN_SHAPE, TILE_PX, textures

Pixels = NDArray[np.uint8]

ABSORPTION = (0.30, 0.95, 0.80)
"""How much of red, green and blue a vessel swallows, relative to its contrast: blood is red."""
RELIEF_DEPTH = 0.0042
"""Brightness change per grey level of the relief tile at full texture strength."""
UNIT_GAIN = 128.0
"""What stands for a factor of 1 in 8-bit gain images."""
GLINT_FACING, GLINT_RELIEF, GLARE_GATHERS = 140.0, 0.6, 240.0
"""Weights of facing the lamp and of fine relief beside the glint texture (grey levels)."""
HEADROOM = 0.5
"""Glints and relief are added at this scale, so that their sum stays within 8 bits."""
HIGHLIGHT_LEVEL = 254.0
FINE_TEXTURE_FROM_PX, FINE_TEXTURE_BELOW_SOFTNESS = 640, 0.5
"""Fields at least this high, or optics sharper than this, show the wall's texture at double density."""
INSET_GREEN = (46, 180, 142)
INSET_BLACK = (2, 2, 2)
INSET_FRACTION = (0.27, 0.33)
"""Width and height of the inset as fractions of the frame's."""
TEXT_COLOUR = (206, 206, 206)


def paint(look: PhantomLook, scene: Scene, canvas: Canvas, coarse: CoarseImage) -> tuple[Pixels, Pixels]:
    """Paint the field of view in native pixels, before lens and sensor.

    Returns: uint8 height×width×3 RGB, and the exact mask uint8 height×width (0/255).
    """
    size = (canvas.width, canvas.height)
    detail = _wall_detail(look, scene, canvas, coarse)
    if coarse.covered is not None:  # no vessel shows through stool
        clear = cv2.resize(_bytes(255.0 * (1.0 - coarse.covered)), size, interpolation=cv2.INTER_LINEAR)
        detail[..., 0] = cv2.multiply(detail[..., 0], clear, scale=1 / 255)
    relief = RELIEF_DEPTH * look.texture * UNIT_GAIN
    # gain = 1 + relief − absorption · (vessels − their mean), one matrix over (vessels, relief, glints)
    swallowed = [k * scene.vessels * UNIT_GAIN / 255 for k in ABSORPTION]
    level = [UNIT_GAIN - 128 * relief + k * textures().mean_vessels for k in swallowed]
    gain = cv2.transform(detail, np.array([[-k, relief, 0, base] for k, base in zip(swallowed, level, strict=True)]))
    wall = cv2.resize(_bytes(coarse.wall), size, interpolation=cv2.INTER_LINEAR)
    image = _pixels(cv2.multiply(wall, gain, scale=1 / UNIT_GAIN))
    if scene.mimics.foam:
        image = _foamed(image, scene, canvas, coarse)
    mask = np.zeros((canvas.height, canvas.width), np.uint8)
    if coarse.outline is not None and coarse.polyp is not None:
        _set_in_polyps(image, mask, canvas, coarse.outline, coarse.polyp, detail, relief)
    _add_highlights(image, look, scene, canvas, coarse, detail)
    return image, mask


def _pixels(array: NDArray) -> Pixels:
    """The array as 8-bit pixels (OpenCV's stubs do not say that 8 bit in gives 8 bit out)."""
    return array.astype(np.uint8, copy=False)


def _bytes(values: Plane) -> Pixels:
    return np.clip(values + np.float32(0.5), 0.0, 255.0).astype(np.uint8)


def _enlarge(plane: Plane, size: tuple[int, int]) -> Plane:
    return np.asarray(cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_LINEAR))


def _wall_detail(look: PhantomLook, scene: Scene, canvas: Canvas, coarse: CoarseImage) -> Pixels:
    """Vessels, relief and glints (channels; see ``Textures.surface``) as the wall carries them, at native size."""
    fine = canvas.height >= FINE_TEXTURE_FROM_PX or look.softness_px < FINE_TEXTURE_BELOW_SOFTNESS
    repeats = 2 if fine else 1
    return _tiled(textures().surface, repeats, (0.0, scene.texture_origin[1]), canvas, coarse)


def _tiled(tile: Pixels, repeats: int, origin: tuple[float, float], canvas: Canvas, coarse: CoarseImage) -> Pixels:
    """A tile as the wall carries it, at native size: ``repeats`` times around, laid at ``origin`` (tile pixels)."""
    size = (canvas.width, canvas.height)
    scale = repeats * TILE_PX / (2 * np.pi)
    u = cv2.phase(_enlarge(coarse.around_x, size), _enlarge(coarse.around_y, size))
    u = np.multiply(u, np.float32(scale), dtype=np.float32)
    if origin[0]:
        u = np.add(u, np.float32(origin[0]), dtype=np.float32)
    v = _enlarge(coarse.along * np.float32(scale) + np.float32(origin[1]), size)
    # Fixed-point coordinates wrap by masking bits, several times faster than a wrapping border.
    whole, fraction = cv2.convertMaps(u, v, cv2.CV_16SC2)
    whole = np.bitwise_and(np.asarray(whole, np.int16), np.int16(TILE_PX - 1))
    return _pixels(cv2.remap(tile, whole, fraction, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _foamed(image: Pixels, scene: Scene, canvas: Canvas, coarse: CoarseImage) -> Pixels:
    """The image with bubbles on its wall: each first darkens, then whitens what is behind it."""
    foam = _tiled(textures().foam, 1, scene.mimics.foam_origin, canvas, coarse)
    left = 255 - cv2.convertScaleAbs(foam, alpha=scene.mimics.foam)
    white, dark = (cv2.cvtColor(np.ascontiguousarray(left[..., k]), cv2.COLOR_GRAY2RGB) for k in (0, 1))
    behind = cv2.multiply(cv2.multiply(image, dark, scale=1 / 255), white, scale=1 / 255)
    return _pixels(cv2.add(behind, 255 - white))


def _set_in_polyps(
    image: Pixels, mask: Pixels, canvas: Canvas, outline: Plane, colour: Plane, detail: Pixels, relief: float
) -> None:
    """Blend the polyps' layer into the image along its exact outline and fill the mask; both in place."""
    distance = _enlarge(outline, (canvas.width, canvas.height))
    mask[(distance > 0) & (canvas.outline[..., 0] > 127)] = 255
    left, top, width, height = cv2.boundingRect(_bytes(outline + np.float32(2.0)))
    if width == 0:
        return
    right, bottom = round((left + width + 1) * canvas.zoom), round((top + height + 1) * canvas.zoom)
    window = (
        slice(max(0, round((top - 1) * canvas.zoom)), bottom),
        slice(max(0, round((left - 1) * canvas.zoom)), right),
    )
    alpha = np.clip(distance[window] * np.float32(0.7 * canvas.zoom) + 0.5, 0.0, 1.0)[..., None]
    bumps = 1.0 + np.float32(relief / UNIT_GAIN) * (detail[window][..., 1:2].astype(np.float32) - 128.0)
    layer = cv2.resize(_bytes(colour), (canvas.width, canvas.height), interpolation=cv2.INTER_LINEAR)[window]
    under = image[window].astype(np.float32)
    image[window] = _bytes(under + alpha * (layer * bumps - under))


def _add_highlights(
    image: Pixels, look: PhantomLook, scene: Scene, canvas: Canvas, coarse: CoarseImage, detail: Pixels
) -> None:
    """Blend in white where wet bumps face the lamp, on as much of the field as the scene shows; in place."""
    wet = cv2.transform(detail, np.array([[0.0, HEADROOM * GLINT_RELIEF, HEADROOM]])).astype(np.float32)
    shine = np.float32(HEADROOM * GLINT_FACING) * coarse.shine
    if coarse.blobs is not None:
        shine = shine + np.float32(HEADROOM * GLARE_GATHERS * scene.mimics.glare) * np.maximum(coarse.blobs - 1.0, 0.0)
    wet += _enlarge(shine, (canvas.width, canvas.height))
    sample = wet[::5, ::5][canvas.outline[::5, ::5, 0] > 127]
    # The lens dims a highlight's rim, small highlights more: start larger to end as large as the look says.
    lost = 0.9 * look.softness_px + 0.5 * look.softness_px / max(look.specular_percent, 0.05) ** 0.5
    threshold = np.quantile(sample, 1.0 - min((0.8 + lost) * scene.specular_percent / 100.0, 0.2))
    rows, columns = np.nonzero(wet > np.float32(threshold - 2.0))
    opacity = np.clip((wet[rows, columns] - np.float32(threshold)) * np.float32(0.3) + 0.6, 0.0, 1.0)
    opacity = (opacity * opacity * opacity)[:, None]
    under = image[rows, columns].astype(np.float32)
    image[rows, columns] = _bytes(under + opacity * (np.float32(HIGHLIGHT_LEVEL) - under))


def expose(look: PhantomLook, scene: Scene, canvas: Canvas, image: Pixels, rng: np.random.Generator) -> Pixels:
    """Lens blur, motion, edge enhancement, noise and interlacing, on the field of view's pixels."""
    if scene.blur_px > 0.25:
        side = 2 * int(np.ceil(2 * scene.blur_px)) + 1
        image = _pixels(cv2.GaussianBlur(image, (side, side), scene.blur_px))
    if scene.motion_blur_px > 0:
        image = _smear(image, scene.motion_blur_px, float(rng.uniform(0, np.pi)))
    if look.sharpening > 0:
        soft = cv2.GaussianBlur(image, (5, 5), 1.1 * max(scene.size) / 720.0)
        image = _pixels(cv2.addWeighted(image, 1.0 + 2.2 * look.sharpening, soft, -2.2 * look.sharpening, 0.0))
    if look.noise_sd > 0:
        strength = look.noise_sd / GRAIN_SD
        image = _pixels(cv2.addWeighted(image, 1.0, _grain(canvas, rng), strength, -128.0 * strength))
    if look.interlaced:
        _comb(image, int(rng.integers(-3, 4)))
    return image


def _smear(image: Pixels, length_px: float, direction: float) -> Pixels:
    side = 2 * int(length_px / 2 + 1) + 1
    kernel = np.zeros((side, side), np.float32)
    middle = side // 2
    reach = np.array([np.cos(direction), np.sin(direction)]) * length_px / 2
    start, end = np.rint(middle - reach).astype(int), np.rint(middle + reach).astype(int)
    cv2.line(kernel, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def _grain(canvas: Canvas, rng: np.random.Generator) -> Pixels:
    """A piece of the noise tile; larger fields get it mirrored at its end."""
    tile = textures().grain
    if canvas.height > GRAIN_SHAPE[0] or canvas.width > GRAIN_SHAPE[1]:
        below = max(0, canvas.height - GRAIN_SHAPE[0])
        beside = max(0, canvas.width - GRAIN_SHAPE[1])
        tile = np.pad(tile, ((0, below), (0, beside), (0, 0)), mode="reflect")
    top = int(rng.integers(0, tile.shape[0] - canvas.height + 1))
    left = int(rng.integers(0, tile.shape[1] - canvas.width + 1))
    return tile[top : top + canvas.height, left : left + canvas.width]


def _comb(image: Pixels, shift_px: int) -> None:
    """Move the second field sideways: the scope moved between the two fields of an interlaced frame. In place."""
    if shift_px:
        image[1::2] = np.roll(image[1::2], shift_px, axis=1)


def assemble(
    look: PhantomLook, canvas: Canvas, scene: Scene, image: Pixels, mask: Pixels, moment_s: float
) -> tuple[Pixels, Pixels]:
    """Set the field of view into its frame.

    The mask is cut where the inset covers the field: what cannot be seen is no part of a visible silhouette.
    Returns: uint8 H×W×3 RGB and uint8 H×W (0/255) at native size.
    """
    width, height = scene.size
    frame = np.full((height, width, 3), look.field_of_view.border_level, np.uint8)
    index = (slice(canvas.top, canvas.top + canvas.height), slice(canvas.left, canvas.left + canvas.width))
    lit = cv2.multiply(image, canvas.outline, scale=1 / 255)
    border = cv2.multiply(frame[index], 255 - canvas.outline, scale=1 / 255)
    frame[index] = cv2.add(lit, border)
    full_mask = np.zeros((height, width), np.uint8)
    full_mask[index] = mask
    if look.inset is not Inset.NONE and scene.has_inset:
        _draw_inset(look, scene, frame, full_mask)
    if look.burned_in_text is not BurnedInText.NONE:
        _write(look, frame, moment_s)
    return frame, full_mask


def _draw_inset(look: PhantomLook, scene: Scene, frame: Pixels, mask: Pixels) -> None:
    height, width = frame.shape[:2]
    top, right = round(height * (1 - INSET_FRACTION[1])), round(width * INSET_FRACTION[0])
    frame[top:, :right] = INSET_GREEN if look.inset is Inset.GREEN else INSET_BLACK
    mask[top:, :right] = 0
    if look.inset is Inset.GREEN:
        # The inserted scope as the position display draws it: one bent grey tube.
        rng = np.random.default_rng(_hash_of(scene.texture_origin))
        turns = np.cumsum(rng.normal(0, 0.35, 14)) - np.pi / 2
        step = (height - top) / 16
        path = np.array([0.55 * right, height - 2.0]) + np.cumsum(step * np.stack([np.cos(turns), np.sin(turns)], 1), 0)
        path = np.clip(path, (4, top + 4), (right - 4, height))
        cv2.polylines(frame, [np.rint(path).astype(np.int32)], False, (84, 84, 88), max(1, height // 140), cv2.LINE_AA)


def _hash_of(origin: tuple[float, float]) -> int:
    """A stable whole number from a scene's texture origin (Python's own hash is salted per process)."""
    return int(origin[0] * 4096) * 8388608 + int(origin[1] * 4096)


def _write(look: PhantomLook, frame: Pixels, moment_s: float) -> None:
    """A clock and the word PHANTOM where the processor keeps its text: never a name, never a date."""
    height, width = frame.shape[:2]
    size = height / 1100.0
    clock = f"{int(moment_s // 3600):02d}:{int(moment_s // 60) % 60:02d}:{int(moment_s) % 60:02d}"
    line = max(9, round(height * 0.032))
    left = max(2, round(0.006 * width))
    indices = [(clock, (left, line)), ("PHANTOM", (left, 2 * line))]
    if look.burned_in_text is BurnedInText.CORNERS:
        right = width - round(0.085 * width)
        indices += [("1/60", (right, line)), ("AUTO +1", (right, 2 * line))]
        indices += [(text, (left, height - (5 - i) * line)) for i, text in enumerate(("SE", "IRIS", "3.8 mm"))]
    for text, at in indices:
        cv2.putText(frame, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, TEXT_COLOUR, 1, cv2.LINE_AA)
