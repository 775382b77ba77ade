"""From a frame's files to its figures; what cannot be read becomes a problem, nothing is raised for it."""

from __future__ import annotations

from dataclasses import dataclass

from polypda.cohorts.frames import Frame, LabelState
from polypda.cohorts.images import Image, read_image, read_mask
from polypda.cohorts.mask_files import mask_size_error
from polypda.cohorts.statistics.figure_store import FigureStore
from polypda.cohorts.statistics.picture import PictureFigures, picture_figures, reduced_picture
from polypda.cohorts.statistics.polyps import NO_POLYP, PolypFigures, mask_figures
from polypda.errors import DataError


@dataclass(frozen=True)
class MeasuredFrame:
    """A frame with its figures. picture: None where the image cannot be read. polyps: None without a label.

    problem: why image or label could not be used.
    """

    frame: Frame
    picture: PictureFigures | None
    polyps: PolypFigures | None
    problem: DataError | None = None


def measure_files(frame: Frame, store: FigureStore) -> MeasuredFrame:
    """The frame's figures, from the store or from its files. Only a frame that carries a label has its mask opened."""
    known = stored_figures(frame, store)
    if known is not None:
        return known
    try:
        image = read_image(frame.image)
        reduced = reduced_picture(image)
        picture = picture_figures(image, reduced)
        store.keep(picture, frame.image)
    except DataError as problem:
        return MeasuredFrame(frame, None, None, problem)
    try:
        if frame.mask is None:
            return MeasuredFrame(frame, picture, _declared(frame))
        polyps = mask_figures(reduced, _mask_of(frame, image))
        store.keep(polyps, frame.image, frame.mask)
    except DataError as problem:
        return MeasuredFrame(frame, picture, None, problem)
    return MeasuredFrame(frame, picture, polyps)


def stored_figures(frame: Frame, store: FigureStore) -> MeasuredFrame | None:
    """The frame's figures where all of them are in the store, else None."""
    picture = store.find(PictureFigures, frame.image)
    if picture is None:
        return None
    if frame.mask is None:
        return MeasuredFrame(frame, picture, _declared(frame))
    polyps = store.find(PolypFigures, frame.image, frame.mask)
    return None if polyps is None else MeasuredFrame(frame, picture, polyps)


def _declared(frame: Frame) -> PolypFigures | None:
    return NO_POLYP if frame.label_state is LabelState.NEGATIVE else None


def _mask_of(frame: Frame, image: Image) -> Image:
    assert frame.mask is not None
    mask = read_mask(frame.mask)
    if mask.shape != image.shape[:2]:
        raise mask_size_error(
            f"{frame.cohort}/{frame.frame}", (image.shape[1], image.shape[0]), (mask.shape[1], mask.shape[0])
        )
    return mask
