"""Processor screens painted by script: an octagon of mucosa with glints on black, text, bars and insets."""

import cv2
import numpy as np


def mucosa(rng: np.random.Generator, height: int = 540, width: int = 640) -> np.ndarray:
    """Uint8 H×W×3: smooth reddish tissue with folds, vessels and grain, no glints."""
    coarse = rng.normal(0, 1, (7, 8)).astype(np.float32)
    folds = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    fine = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 3)
    level = 1 + 0.22 * folds + 0.5 * fine
    image = np.stack([level * 190, level * 112, level * 88], axis=2) + rng.normal(0, 3, (height, width, 3))
    return np.clip(image, 45, 235).astype(np.uint8)


def with_glints(image: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Small white ellipses of any size and direction, as wet mucosa shows them."""
    shiny = image.copy()
    height, width = image.shape[:2]
    for _ in range(count):
        at = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(1, 9)), int(rng.integers(1, 5)))
        cv2.ellipse(shiny, at, axes, float(rng.uniform(0, 180)), 0, 360, (250, 245, 240), -1, cv2.LINE_AA)
    return shiny


def octagon(height: int, width: int, left: int, right: int, top: int = 4, bottom: int = 4) -> np.ndarray:
    """Bool H×W: the field of view of an Olympus scope."""
    mask = np.zeros((height, width), np.uint8)
    cut = (height - top - bottom) // 5
    x0, x1, y0, y1 = left, width - right, top, height - bottom
    corners = [(x0 + cut, y0), (x1 - cut, y0), (x1, y0 + cut), (x1, y1 - cut)]
    corners += [(x1 - cut, y1), (x0 + cut, y1), (x0, y1 - cut), (x0, y0 + cut)]
    cv2.fillConvexPoly(mask, np.array(corners, np.int32), 1)
    return mask.astype(bool)


def write(image: np.ndarray, text: str, at: tuple[int, int], size: float = 0.5, colour=(225, 225, 225)) -> np.ndarray:
    """Write a line of text onto a picture, in place; at: left end of the base line. Returns bool H×W of its pixels."""
    before = image.copy()
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)
    return np.any(before != image, axis=2)


def through_jpeg(image: np.ndarray, quality: int = 90) -> np.ndarray:
    """The picture as it comes back from a JPEG file."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(np.uint8)
