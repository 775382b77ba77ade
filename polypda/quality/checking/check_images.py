"""What pictures and masks are like: glare, blur, interlacing, field of view, overlays, how masks are drawn."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from polypda.cohorts.stored_masks import AMBIGUOUS_GREY
from polypda.quality.checking.cohort_view import (
    CohortView,
    Drawing,
    Finding,
    FrameName,
    OverlayMap,
    Severity,
    fraction_text,
    names,
)
from polypda.quality.checking.frame_quality import BLUR_RATIO, GLARE_FRACTION, FieldShape, is_overexposed
from polypda.quality.checking.observation import Observation, Size
from polypda.quality.interlacing import Scan, decide

COMMON_FRACTION = 0.05
"""A shape of fewer frames than this share is an outlier, not a second device."""
ODD_EXTENT = 0.15
"""A field of view whose share of the frame differs by more than this from the median of its size is an outlier."""
FEWEST_JUDGED = 10


def check_glare_and_blur(view: CohortView) -> list[Finding]:
    """Over-exposed frames, and frames far less sharp than their cohort."""
    judged = [(one, one.image) for one in view.seen if one.image is not None]
    if not judged:
        return []
    bright = sorted((o for o, p in judged if is_overexposed(p)), key=lambda o: -(o.image.overexposed))  # type: ignore[union-attr]
    shares = np.array([image.overexposed for _, image in judged])
    sharpness = np.array([image.sharpness for _, image in judged])
    middle = float(np.median(sharpness))
    findings = []
    if bright:
        limit = f"more than {GLARE_FRACTION:.0%} of the field of view is white"
        message = f"over-exposed ({limit}): {fraction_text(bright, judged)}."
        values = {one.frame.frame: f"{one.image.overexposed:.0%} white" for one in bright if one.image}
        findings.append(
            Finding("N_GLARE", Severity.NOTE, message, names(bright), drawing=Drawing.GLARE, values=values,
                    facts={"share": len(bright) / len(judged), "mean_white": float(shares.mean())})
        )  # fmt: skip
    blurred = [(one, image.sharpness / middle) for one, image in judged if image.sharpness < BLUR_RATIO * middle]
    if blurred and len(judged) >= FEWEST_JUDGED:
        blurred.sort(key=lambda entry: entry[1])
        message = (
            f"blurred (less than {BLUR_RATIO:.0%} of the cohort's median sharpness, {middle:.1f}): "
            f"{fraction_text(blurred, judged)}."
        )
        values = {one.frame.frame: f"{ratio:.0%} of the median" for one, ratio in blurred}
        findings.append(
            Finding("N_BLUR", Severity.NOTE, message, names(one for one, _ in blurred), drawing=Drawing.FRAME,
                    values=values, facts={"share": len(blurred) / len(judged), "median_sharpness": middle})
        )  # fmt: skip
    return findings


def check_interlacing(view: CohortView) -> list[Finding]:
    """Frames that hold two moments in alternate lines, against what the manifest says."""
    combs = [(one, one.comb) for one in view.seen if one.comb is not None]
    combed = [one for one, comb in combs if comb.combed]
    decision = decide([comb for _, comb in combs])
    told = view.manifest.interlaced
    if told and combs and decision.scan is Scan.PROGRESSIVE:
        message = f"the manifest says interlaced, but {decision.judged} frames that could be judged look progressive."
        return [Finding("N_INTERLACED_NOT", Severity.NOTE, message, facts={"confidence": decision.confidence})]
    if decision.scan is not Scan.INTERLACED:
        return []
    message = (
        f"{'as the manifest says, ' if told else ''}interlaced: {fraction_text(combed, combs)} hold two moments in "
        f"alternate lines (confidence {decision.confidence:.2f}); edges are combed wherever something moved. "
        "`polypda cohorts import --deinterlace` keeps one field of such frames."
    )
    values = {one.frame.frame: f"score {comb.score:.2f}" for one, comb in combs if comb.combed}
    severity, code = (Severity.NOTE, "N_INTERLACED") if told else (Severity.WARNING, "W_INTERLACED")
    return [Finding(code, severity, message, names(combed), drawing=Drawing.COMB, values=values)]


def check_field_of_view(view: CohortView) -> list[Finding]:
    """Shapes of the field of view, frames that fall out of them, and what the manifest says."""
    judged = [(one, one.field) for one in view.seen if one.field is not None]
    shaped = [(one, field) for one, field in judged if field.shape is not None]
    findings = []
    lost = [one for one, field in judged if field.shape is None]
    if lost:
        message = f"no field of view was found, so the whole frame is taken: {fraction_text(lost, judged)}."
        findings.append(Finding("W_FIELD_LOST", Severity.WARNING, message, names(lost), drawing=Drawing.FRAME))
    if not shaped:
        return findings
    shapes = Counter(field.shape for _, field in shaped)
    common = [shape for shape, count in shapes.items() if count >= COMMON_FRACTION * len(shaped)]
    extents = {shape: float(np.median([f.share for _, f in shaped if f.shape == shape])) for shape in shapes}
    listed = ", ".join(
        f"{shape} {count / len(shaped):.0%} (covers {extents[shape]:.0%} of the frame)"
        for shape, count in shapes.most_common()
        if shape is not None
    )
    facts = {str(shape): count for shape, count in shapes.items()}
    message = f"field of view: {listed}."
    findings.append(Finding("N_FIELD", Severity.NOTE, message, drawing=Drawing.NOTHING, facts=facts))
    usual = _usual_fractions(shaped)
    odd = [
        (one, field)
        for one, field in shaped
        if field.shape not in common or abs(field.share - usual[one.image_size]) > ODD_EXTENT
    ]
    if odd:
        odd.sort(key=lambda entry: -abs(entry[1].share - usual[entry[0].image_size]))
        message = (
            f"{fraction_text(odd, shaped)} have a field of view unlike others of their size: another device, a dark "
            "frame, or a wrong outline."
        )
        values = {one.frame.frame: f"{field.shape}, {field.share:.0%} of the frame" for one, field in odd}
        frames = names(one for one, _ in odd)
        findings.append(Finding("N_FIELD_ODD", Severity.NOTE, message, frames, drawing=Drawing.FIELD, values=values))
    told = view.manifest.field_of_view
    most = shapes.most_common(1)[0][0]
    if told is not None and told != most:
        like = [one for one, field in shaped if field.shape == most]
        message = f"the manifest says {told}; most frames look like {most}."
        findings.append(Finding("N_FIELD_SHAPE", Severity.NOTE, message, names(like), drawing=Drawing.FIELD))
    return findings


def _usual_fractions(shaped: Sequence[tuple[Observation, FieldShape]]) -> dict[Size | None, float]:
    """Size of the image → median share of the frame that is field of view."""
    shares: dict[Size | None, list[float]] = defaultdict(list)
    for one, field in shaped:
        shares[one.image_size].append(field.share)
    return {size: float(np.median(held)) for size, held in shares.items()}


LEAST_STILL_FRACTION = 2e-4
"""Still content below this share of the frame is not worth a word."""

RARE_FRACTION = 0.05
"""Text on a smaller share of the frames may be a chain of glints: a note, to be looked at."""


def check_overlays(view: CohortView) -> list[Finding]:
    """What the maps of the commonest frame sizes show."""
    findings = []
    looked = sum(one.frames for one in view.overlays)
    for code, severity, what, hint, concerned in (
        ("W_TEXT", Severity.WARNING, "burned-in text", "it may name a patient or a date, and a network may learn it",
         [name for one in view.overlays for name in one.with_text]),
        ("N_INSET", Severity.NOTE, "an inset (position monitor)", "it is no mucosa and must not teach",
         [name for one in view.overlays for name in one.with_inset]),
    ):  # fmt: skip
        if concerned:
            maps = tuple(one for one in view.overlays if _shows(one, concerned))
            message = f"{what} on {len(concerned)} of {looked} frames that were looked at: {hint}."
            frames = tuple(name[1] for name in concerned)
            rare = len(concerned) < RARE_FRACTION * looked
            if rare:
                code, severity = code.replace("W_", "N_"), Severity.NOTE
            remedy = "" if _all_ignored(view, frames) else " `polypda cohorts import --deidentify` deals with it."
            findings.append(
                Finding(code, severity, message + remedy, frames, drawing=Drawing.MAP, maps=maps,
                        facts={"looked_at": looked, "share": len(concerned) / looked})
            )  # fmt: skip
    still = [one for one in view.overlays if one.still_share >= LEAST_STILL_FRACTION]
    if still:
        listed = "; ".join(
            f"{one.size[0]}×{one.size[1]}: {one.still_share:.1%} of the frame ({one.frames} frames)" for one in still
        )
        message = f"content that is the same in every frame of a size: {listed}."
        findings.append(Finding("N_STILL", Severity.NOTE, message, drawing=Drawing.MAP, maps=tuple(still)))
    return findings


def _shows(one: OverlayMap, concerned: Sequence[FrameName]) -> bool:
    return any(name in concerned for name in (*one.with_text, *one.with_inset))


def _all_ignored(view: CohortView, frames: Sequence[str]) -> bool:
    ignoring = {one.frame.frame for one in view.seen if one.frame.ignore is not None}
    return all(frame in ignoring for frame in frames)


MOST_OUTSIDE_FRACTION = 0.05
"""A mask with more than this share of its area outside the field of view was probably not drawn on this picture."""


def check_mask_files(view: CohortView) -> list[Finding]:
    """Channels, colours, and the grey that JPEG or resizing leaves."""
    files = [(one, one.mask_file) for one in view.seen if one.mask_file is not None]
    several = [one for one, file in files if file.channels > 1]
    coloured = [one for one, file in files if file.coloured]
    grey = [one for one, file in files if file.grey_fraction > 0]
    findings = []
    if several:
        message = f"{len(several)} of {len(files)} masks have several channels; the brightest counts."
        findings.append(Finding("N_MASK_CHANNELS", Severity.NOTE, message, names(several)))
    if coloured:
        message = f"{len(coloured)} masks are coloured; whatever is bright is taken as polyp."
        findings.append(Finding("N_MASK_COLOURED", Severity.NOTE, message, names(coloured), drawing=Drawing.MASK))
    if grey:
        ambiguous = {one.frame.frame: file.ambiguous_fraction for one, file in files}
        most = sorted(grey, key=lambda one: -ambiguous[one.frame.frame])
        message = (
            f"{len(grey)} of {len(files)} masks hold values between black and white, as JPEG or resizing leaves them "
            f"(between {AMBIGUOUS_GREY[0]} and {AMBIGUOUS_GREY[1]}: mean {np.mean(list(ambiguous.values())):.2%}, most "
            f"{max(ambiguous.values()):.2%} of the pixels); 128 and above is polyp."
        )
        values = {one.frame.frame: f"{ambiguous[one.frame.frame]:.2%} ambiguous" for one in most}
        findings.append(
            Finding("N_MASK_GREY", Severity.NOTE, message, names(most), drawing=Drawing.MASK, values=values)
        )
    return findings


def check_mask_drawing(view: CohortView) -> list[Finding]:
    """Outlines, holes, specks, contact with the frame's border, several polyps, masks outside the field of view."""
    drawn = [(one, one.mask) for one in view.seen if one.mask is not None and one.mask.area_px]
    total = len(drawn)
    jagged = sorted(
        ((one, mask) for one, mask in drawn if mask.is_jagged), key=lambda entry: (-entry[1].corners, -entry[1].jagged)
    )
    holed = sorted(((one, mask) for one, mask in drawn if mask.holes), key=lambda entry: -entry[1].holes)
    specked = sorted(((one, mask) for one, mask in drawn if mask.specks), key=lambda entry: -entry[1].specks)
    bordering = sorted(((o, m) for o, m in drawn if m.touches_border), key=lambda entry: -entry[1].on_border)
    several = sorted(((one, mask) for one, mask in drawn if mask.polyps > 1), key=lambda entry: -entry[1].polyps)
    outside = [one for one in view.seen if (one.outside_fraction or 0) > MOST_OUTSIDE_FRACTION]
    outside.sort(key=lambda one: -(one.outside_fraction or 0))
    findings = []
    for code, severity, entries, drawing, what, value in (
        ("W_MASK_JAGGED", Severity.WARNING, jagged, Drawing.MASK,
         "masks have a jagged outline (drawn at a lower resolution?): figures of the boundary suffer",
         lambda mask: f"length {mask.jagged:.2f} × smoothed, {mask.corners} right angles"),
        ("W_MASK_SPECKS", Severity.WARNING, specked, Drawing.DEFECTS,
         "masks hold specks of a few pixels, which count as polyps of their own when lesions are matched",
         lambda mask: f"specks: {mask.specks}"),
        ("N_MASK_HOLES", Severity.NOTE, holed, Drawing.DEFECTS, "masks have holes", lambda one: f"holes: {one.holes}"),
        ("N_MASK_BORDER", Severity.NOTE, bordering, Drawing.MASK, "masks touch the frame's border: the polyp is cut",
         lambda mask: f"{mask.on_border:.0%} of the border"),
        ("N_MASK_SEVERAL", Severity.NOTE, several, Drawing.MASK, "masks hold several polyps",
         lambda mask: f"{mask.polyps} polyps"),
    ):  # fmt: skip
        if entries:
            message = f"{len(entries)} of {total} {what}."
            values = {one.frame.frame: value(mask) for one, mask in entries}
            frames = names(one for one, _ in entries)
            findings.append(Finding(code, severity, message, frames, drawing=drawing, values=values))
    if outside:
        message = f"{len(outside)} masks lie with more than {MOST_OUTSIDE_FRACTION:.0%} outside the lit field of view."
        values = {one.frame.frame: f"{one.outside_fraction or 0:.0%} outside" for one in outside}
        findings.append(
            Finding("W_MASK_OUTSIDE", Severity.WARNING, message, names(outside), drawing=Drawing.OUTSIDE, values=values)
        )
    return findings
