"""What the pictures are like: glare, blur, interlacing, the field of view of the device."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from polypda.quality.checking.cohort_view import CohortView, names, share_text
from polypda.quality.checking.field_shape import FieldShape
from polypda.quality.checking.findings import Drawing, Finding, Severity
from polypda.quality.checking.observation import Observation, Size
from polypda.quality.checking.picture_quality import BLUR_RATIO, GLARE_SHARE, is_overexposed
from polypda.quality.interlacing import Scan, decide

COMMON_SHARE = 0.05
"""A shape of fewer frames than this share is an outlier, not a second device."""
ODD_EXTENT = 0.15
"""A field of view whose share of the frame differs by more than this from the median of its size is an outlier."""
FEWEST_JUDGED = 10


def check_glare_and_blur(view: CohortView) -> list[Finding]:
    """Over-exposed frames, and frames far less sharp than their cohort."""
    judged = [(one, one.picture) for one in view.seen if one.picture is not None]
    if not judged:
        return []
    bright = sorted((o for o, p in judged if is_overexposed(p)), key=lambda o: -(o.picture.overexposed))  # type: ignore[union-attr]
    shares = np.array([picture.overexposed for _, picture in judged])
    sharpness = np.array([picture.sharpness for _, picture in judged])
    middle = float(np.median(sharpness))
    findings = []
    if bright:
        message = (
            f"over-exposed (more than {GLARE_SHARE:.0%} of the field of view is white): {share_text(bright, judged)}."
        )
        values = {one.frame.frame: f"{one.picture.overexposed:.0%} white" for one in bright if one.picture}
        findings.append(
            Finding("N_GLARE", Severity.NOTE, message, names(bright), drawing=Drawing.GLARE, values=values,
                    facts={"share": len(bright) / len(judged), "mean_white": float(shares.mean())})
        )  # fmt: skip
    blurred = [(one, picture.sharpness / middle) for one, picture in judged if picture.sharpness < BLUR_RATIO * middle]
    if blurred and len(judged) >= FEWEST_JUDGED:
        blurred.sort(key=lambda entry: entry[1])
        message = (
            f"blurred (less than {BLUR_RATIO:.0%} of the cohort's median sharpness, {middle:.1f}): "
            f"{share_text(blurred, judged)}."
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
        f"{'as the manifest says, ' if told else ''}interlaced: {share_text(combed, combs)} hold two moments in "
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
        message = f"no field of view was found, so the whole frame is taken: {share_text(lost, judged)}."
        findings.append(Finding("W_FIELD_LOST", Severity.WARNING, message, names(lost), drawing=Drawing.FRAME))
    if not shaped:
        return findings
    shapes = Counter(field.shape for _, field in shaped)
    common = [shape for shape, count in shapes.items() if count >= COMMON_SHARE * len(shaped)]
    extents = {shape: float(np.median([f.share for _, f in shaped if f.shape == shape])) for shape in shapes}
    listed = ", ".join(
        f"{shape} {count / len(shaped):.0%} (covers {extents[shape]:.0%} of the frame)"
        for shape, count in shapes.most_common()
        if shape is not None
    )
    facts = {str(shape): count for shape, count in shapes.items()}
    message = f"field of view: {listed}."
    findings.append(Finding("N_FIELD", Severity.NOTE, message, drawing=Drawing.NOTHING, facts=facts))
    usual = _usual_shares(shaped)
    odd = [
        (one, field)
        for one, field in shaped
        if field.shape not in common or abs(field.share - usual[one.image_size]) > ODD_EXTENT
    ]
    if odd:
        odd.sort(key=lambda entry: -abs(entry[1].share - usual[entry[0].image_size]))
        message = (
            f"{share_text(odd, shaped)} have a field of view unlike others of their size: another device, a dark "
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


def _usual_shares(shaped: Sequence[tuple[Observation, FieldShape]]) -> dict[Size | None, float]:
    """Size of the image → median share of the frame that is field of view."""
    shares: dict[Size | None, list[float]] = defaultdict(list)
    for one, field in shaped:
        shares[one.image_size].append(field.share)
    return {size: float(np.median(held)) for size, held in shares.items()}
