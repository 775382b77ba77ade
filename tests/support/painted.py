"""Small painted frames: a lit disc on black with a bright polyp, as files of an ordinary cohort."""

from pathlib import Path

import cv2
import numpy as np

from polypda.cohorts.frames import Frame, LabelState, Split

HEIGHT, WIDTH = 72, 96


def paint(number: int, tint: tuple[int, int, int] = (170, 90, 70)) -> tuple[np.ndarray, np.ndarray]:
    """One RGB frame and its 0/255 mask."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.clip(np.array(tint) + rng.normal(0, 8, (HEIGHT, WIDTH, 3)), 30, 255)
    centre_x, centre_y, radius = rng.integers(30, 66), rng.integers(25, 47), rng.integers(7, 14)
    polyp = (x - centre_x) ** 2 + (y - centre_y) ** 2 < radius**2
    image[polyp] = np.clip(image[polyp] + 60, 0, 255)
    image[:, :6] = 0
    return image.astype(np.uint8), polyp.astype(np.uint8) * 255


def write_frames(folder: Path, count: int, *, cohort: str = "painted", tint=(170, 90, 70), split=Split.TRAIN):
    """Write a painted cohort; returns its frames."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    frames = []
    for number in range(count):
        image, mask = paint(number, tint)
        path, mask_path = folder / "images" / f"{number:03d}.png", folder / "masks" / f"{number:03d}.png"
        cv2.imwrite(str(path), image[..., ::-1])
        cv2.imwrite(str(mask_path), mask)
        frames.append(
            Frame(
                cohort,
                f"{number:03d}",
                path,
                mask_path,
                sequence=f"s{number // 3}",
                label_state=LabelState.MASK,
                split=split,
            )
        )
    return tuple(frames)


def write_cohort(root: Path, cohort: str, count: int = 12, tint=(170, 90, 70)) -> Path:
    """Write an ordinary cohort folder below a data root: two thirds train, then validation, then test."""
    folder = root / cohort
    frames = write_frames(folder, count, cohort=cohort, tint=tint)
    parts = [Split.TRAIN] * (count * 2 // 3) + [Split.VALIDATION] + [Split.TEST] * count
    rows = [f"{frame.frame},{part.value}" for frame, part in zip(frames, parts, strict=False)]
    (folder / "frames.csv").write_text("\n".join(["frame,split", *rows]) + "\n")
    return folder
