"""What images and masks are like: glare, blur, interlacing, field of view, overlays, how masks are drawn."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from polypda.cohorts.stored_masks import AMBIGUOUS_GREY, doubtful
from polypda.quality.checking.cohort_view import CohortView, Drawing, Finding, fraction_text
from polypda.quality.checking.frame_quality import BLUR_RATIO, GLARE_FRACTION
from polypda.quality.checking.observation import Observation, Size
from polypda.quality.interlacing import Scan, decide

COMMON_FRACTION = 0.05
"""A shape of fewer frames than this fraction is an outlier, not a second device."""
ODD_EXTENT = 0.15
"""A field of view whose fraction of the frame differs by more than this from the median of its size is an outlier."""
FEWEST_JUDGED = 10


def check_glare_and_blur(view: CohortView) -> list[Finding]:
    """Over-exposed frames, and frames far less sharp than their cohort."""
    judged = [(one, one.image) for one in view.seen if one.image is not None]
    if not judged:
        return []
    bright = [(one, image.overexposed) for one, image in judged if image.overexposed > GLARE_FRACTION]
    bright.sort(key=lambda entry: -entry[1])
    middle = float(np.median([image.sharpness for _, image in judged]))
    findings = []
    if bright:
        limit = f"more than {GLARE_FRACTION:.0%} of the field of view is white"
        message = f"over-exposed ({limit}): {fraction_text(bright, judged)}."
        values = [f"{white:.0%} white" for _, white in bright]
        facts = {"share": len(bright) / len(judged), "mean_white": _mean(image.overexposed for _, image in judged)}
        findings.append(Finding.about("N_GLARE", message, _frames(bright), Drawing.GLARE, values, **facts))
    blurred = [(one, image.sharpness / middle) for one, image in judged if image.sharpness < BLUR_RATIO * middle]
    if blurred and len(judged) >= FEWEST_JUDGED:
        blurred.sort(key=lambda entry: entry[1])
        message = (
            f"blurred (less than {BLUR_RATIO:.0%} of the cohort's median sharpness, {middle:.1f}): "
            f"{fraction_text(blurred, judged)}."
        )
        values = [f"{ratio:.0%} of the median" for _, ratio in blurred]
        facts = {"share": len(blurred) / len(judged), "median_sharpness": middle}
        findings.append(Finding.about("N_BLUR", message, _frames(blurred), Drawing.FRAME, values, **facts))
    return findings


def _frames(entries: Iterable[tuple[Observation, Any]]) -> list[Observation]:
    return [one for one, _ in entries]


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def check_interlacing(view: CohortView) -> list[Finding]:
    """Frames that hold two moments in alternate lines, against what the manifest says."""
    combs = [(one, one.comb) for one in view.seen if one.comb is not None]
    combed = [(one, comb) for one, comb in combs if comb.combed]
    decision = decide([comb for _, comb in combs])
    declared = view.manifest.interlaced
    if declared and combs and decision.scan is Scan.PROGRESSIVE:
        message = f"the manifest says interlaced, but {decision.judged} frames that could be judged look progressive."
        return [Finding("N_INTERLACED_NOT", message, facts={"confidence": decision.confidence})]
    if decision.scan is not Scan.INTERLACED:
        return []
    message = (
        f"{'as the manifest says, ' if declared else ''}interlaced: {fraction_text(combed, combs)} hold two moments in "
        f"alternate lines (confidence {decision.confidence:.2f}); edges are combed wherever something moved. "
        "`polypda cohorts import --deinterlace` keeps one field of such frames."
    )
    values = [f"score {comb.score:.2f}" for _, comb in combed]
    code = "N_INTERLACED" if declared else "W_INTERLACED"
    return [Finding.about(code, message, _frames(combed), Drawing.COMB, values)]


def check_field_of_view(view: CohortView) -> list[Finding]:
    """Shapes of the field of view, frames that fall out of them, and what the manifest says."""
    judged = [(one, one.field) for one in view.seen if one.field is not None]
    shaped = [(one, field) for one, field in judged if field.shape is not None]
    findings = []
    lost = [one for one, field in judged if field.shape is None]
    if lost:
        message = f"no field of view was found, so the whole frame is taken: {fraction_text(lost, judged)}."
        findings.append(Finding.about("W_FIELD_LOST", message, lost, Drawing.FRAME))
    if not shaped:
        return findings
    shapes = Counter(field.shape for _, field in shaped)
    common = [shape for shape, count in shapes.items() if count >= COMMON_FRACTION * len(shaped)]
    extents = {shape: float(np.median([f.fraction for _, f in shaped if f.shape == shape])) for shape in shapes}
    listed = ", ".join(
        f"{shape} {count / len(shaped):.0%} (covers {extents[shape]:.0%} of the frame)"
        for shape, count in shapes.most_common()
        if shape is not None
    )
    facts = {str(shape): count for shape, count in shapes.items()}
    findings.append(Finding("N_FIELD", f"field of view: {listed}.", facts=facts))
    by_size: dict[Size | None, list[float]] = defaultdict(list)
    for one, field in shaped:
        by_size[one.image_size].append(field.fraction)
    usual = {size: float(np.median(fractions)) for size, fractions in by_size.items()}
    odd = [
        (one, field)
        for one, field in shaped
        if field.shape not in common or abs(field.fraction - usual[one.image_size]) > ODD_EXTENT
    ]
    if odd:
        odd.sort(key=lambda entry: -abs(entry[1].fraction - usual[entry[0].image_size]))
        message = (
            f"{fraction_text(odd, shaped)} have a field of view unlike others of their size: another device, a dark "
            "frame, or a wrong outline."
        )
        values = [f"{field.shape}, {field.fraction:.0%} of the frame" for _, field in odd]
        findings.append(Finding.about("N_FIELD_ODD", message, _frames(odd), Drawing.FIELD, values))
    declared = view.manifest.field_of_view
    most = shapes.most_common(1)[0][0]
    if declared is not None and declared != most:
        like = [one for one, field in shaped if field.shape == most]
        message = f"the manifest says {declared}; most frames look like {most}."
        findings.append(Finding.about("N_FIELD_SHAPE", message, like, Drawing.FIELD))
    return findings


LEAST_STILL_FRACTION = 2e-4
"""Still content below this fraction of the frame is not worth a word."""

RARE_FRACTION = 0.05
"""Text on a smaller fraction of the frames may be a chain of glints: a note, to be looked at."""


def check_overlays(view: CohortView) -> list[Finding]:
    """What the maps of the commonest frame sizes show."""
    findings = []
    looked = sum(one.frames for one in view.overlays)
    for code, what, hint, kind in (
        ("W_TEXT", "burned-in text", "it may name a patient or a date, and a network may learn it", "with_text"),
        ("N_INSET", "an inset (position monitor)", "it is no mucosa and must not teach", "with_inset"),
    ):
        concerned = [name for one in view.overlays for name in getattr(one, kind)]
        if concerned:
            maps = tuple(one for one in view.overlays if {*one.with_text, *one.with_inset} & set(concerned))
            frames = tuple(name[1] for name in concerned)
            remedy = "" if _all_ignored(view, frames) else " `polypda cohorts import --deidentify` deals with it."
            message = f"{what} on {len(concerned)} of {looked} frames that were looked at: {hint}.{remedy}"
            code = code if len(concerned) >= RARE_FRACTION * looked else code.replace("W_", "N_")
            facts = {"looked_at": looked, "share": len(concerned) / looked}
            findings.append(Finding(code, message, frames, drawing=Drawing.MAP, maps=maps, facts=facts))
    still = [one for one in view.overlays if one.still_share >= LEAST_STILL_FRACTION]
    if still:
        listed = "; ".join(
            f"{one.size[0]}×{one.size[1]}: {one.still_share:.1%} of the frame ({one.frames} frames)" for one in still
        )
        message = f"content that is the same in every frame of a size: {listed}."
        findings.append(Finding("N_STILL", message, drawing=Drawing.MAP, maps=tuple(still)))
    return findings


def _all_ignored(view: CohortView, frames: Sequence[str]) -> bool:
    ignoring = {one.frame.frame for one in view.seen if one.frame.ignore is not None}
    return all(frame in ignoring for frame in frames)


MOST_OUTSIDE_FRACTION = 0.05
"""A mask with more than this fraction of its area outside the field of view was probably not drawn on this image."""


def check_mask_files(view: CohortView) -> list[Finding]:
    """Channels, colours, and the grey that JPEG or resizing leaves."""
    files = [(one, one.mask_file) for one in view.seen if one.mask_file is not None]
    several = [one for one, file in files if file.channels > 1]
    coloured = [one for one, file in files if file.coloured]
    grey = [one for one, file in files if file.grey_fraction > 0]
    findings = []
    if several:
        message = f"{len(several)} of {len(files)} masks have several channels; the brightest counts."
        findings.append(Finding.about("N_MASK_CHANNELS", message, several))
    if coloured:
        message = f"{len(coloured)} masks are coloured; whatever is bright is taken as polyp."
        findings.append(Finding.about("N_MASK_COLOURED", message, coloured, Drawing.MASK))
    if grey:
        ambiguous = {one.frame.frame: file.ambiguous_fraction for one, file in files}
        most = sorted(grey, key=lambda one: -ambiguous[one.frame.frame])
        message = (
            f"{len(grey)} of {len(files)} masks hold values between black and white, as JPEG or resizing leaves them "
            f"(between {AMBIGUOUS_GREY[0]} and {AMBIGUOUS_GREY[1]}: mean {np.mean(list(ambiguous.values())):.2%}, most "
            f"{max(ambiguous.values()):.2%} of the pixels); 128 and above is polyp."
        )
        values = [f"{ambiguous[one.frame.frame]:.2%} ambiguous" for one in most]
        findings.append(Finding.about("N_MASK_GREY", message, most, Drawing.MASK, values))
    return findings


def check_mask_drawing(view: CohortView) -> list[Finding]:
    """Outlines, holes, specks, contact with the frame's border, several polyps, masks outside the field of view."""
    drawn = [(one, one.mask) for one in view.seen if one.mask is not None and one.mask.area_px]
    findings = []
    for code, what, concerned, order, drawing, value in (
        ("W_MASK_JAGGED", "masks have a jagged outline (drawn at a lower resolution?): figures of the boundary suffer",
         lambda mask: mask.is_jagged, lambda mask: (-mask.corners, -mask.jagged), Drawing.MASK,
         lambda mask: f"length {mask.jagged:.2f} × smoothed, {mask.corners} right angles"),
        ("W_MASK_SPECKS",
         "masks hold specks of a few pixels, which count as polyps of their own when lesions are matched",
         lambda mask: mask.specks, lambda mask: -mask.specks, Drawing.DEFECTS, lambda mask: f"specks: {mask.specks}"),
        ("N_MASK_HOLES", "masks have holes",
         lambda mask: mask.holes, lambda mask: -mask.holes, Drawing.DEFECTS, lambda mask: f"holes: {mask.holes}"),
        ("N_MASK_BORDER", "masks touch the frame's border: the polyp is cut",
         lambda mask: mask.touches_border, lambda mask: -mask.on_border, Drawing.MASK,
         lambda mask: f"{mask.on_border:.0%} of the border"),
        ("N_MASK_SEVERAL", "masks hold several polyps",
         lambda mask: mask.polyps > 1, lambda mask: -mask.polyps, Drawing.MASK, lambda mask: f"{mask.polyps} polyps"),
    ):  # fmt: skip
        entries = sorted((entry for entry in drawn if concerned(entry[1])), key=lambda entry: order(entry[1]))
        if entries:
            message = f"{len(entries)} of {len(drawn)} {what}."
            values = [value(mask) for _, mask in entries]
            findings.append(Finding.about(code, message, _frames(entries), drawing, values))
    findings += _doubtful_masks(view)
    outside = [(one, one.outside_fraction or 0) for one in view.seen]
    outside = sorted((e for e in outside if e[1] > MOST_OUTSIDE_FRACTION), key=lambda entry: -entry[1])
    if outside:
        message = f"{len(outside)} masks lie with more than {MOST_OUTSIDE_FRACTION:.0%} outside the lit field of view."
        values = [f"{fraction:.0%} outside" for _, fraction in outside]
        findings.append(Finding.about("W_MASK_OUTSIDE", message, _frames(outside), Drawing.OUTSIDE, values))
    return findings


def _doubtful_masks(view: CohortView) -> list[Finding]:
    """Masks that cover all of their frame, or all but a polyp."""
    by_code: dict[str, list[tuple[Observation, str]]] = defaultdict(list)
    for one in view.seen:
        if one.mask is not None and one.image_size is not None:
            said = doubtful(one.mask.area_px / (one.image_size[0] * one.image_size[1]), one.mask.on_border)
            if said is not None:
                by_code[said[0]].append((one, said[1]))
    return [
        Finding.about(
            code, f"{len(told)} masks; the first, {told[0][0].frame.frame}, {told[0][1]}", _frames(told), Drawing.MASK
        )
        for code, told in by_code.items()
    ]
