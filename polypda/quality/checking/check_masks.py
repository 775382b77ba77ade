"""How the masks were stored and drawn."""

from __future__ import annotations

import numpy as np

from polypda.cohorts.stored_masks import AMBIGUOUS_GREY
from polypda.quality.checking.cohort_view import CohortView, names
from polypda.quality.checking.findings import Drawing, Finding, Severity

MOST_OUTSIDE_SHARE = 0.05
"""A mask with more than this share of its area outside the field of view was probably not drawn on this picture."""


def check_mask_files(view: CohortView) -> list[Finding]:
    """Channels, colours, and the grey that JPEG or resizing leaves."""
    files = [(one, one.mask_file) for one in view.seen if one.mask_file is not None]
    several = [one for one, file in files if file.channels > 1]
    coloured = [one for one, file in files if file.coloured]
    grey = [one for one, file in files if file.grey_share > 0]
    findings = []
    if several:
        message = f"{len(several)} of {len(files)} masks have several channels; the brightest counts."
        findings.append(Finding("N_MASK_CHANNELS", Severity.NOTE, message, names(several)))
    if coloured:
        message = f"{len(coloured)} masks are coloured; whatever is bright is taken as polyp."
        findings.append(Finding("N_MASK_COLOURED", Severity.NOTE, message, names(coloured), drawing=Drawing.MASK))
    if grey:
        ambiguous = {one.frame.frame: file.ambiguous_share for one, file in files}
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
    outside = [one for one in view.seen if (one.outside_share or 0) > MOST_OUTSIDE_SHARE]
    outside.sort(key=lambda one: -(one.outside_share or 0))
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
        message = f"{len(outside)} masks lie with more than {MOST_OUTSIDE_SHARE:.0%} outside the lit field of view."
        values = {one.frame.frame: f"{one.outside_share or 0:.0%} outside" for one in outside}
        findings.append(
            Finding("W_MASK_OUTSIDE", Severity.WARNING, message, names(outside), drawing=Drawing.OUTSIDE, values=values)
        )
    return findings
