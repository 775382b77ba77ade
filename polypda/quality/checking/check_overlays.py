"""Burned-in text, insets and still content: no mucosa, and perhaps a patient's name."""

from __future__ import annotations

from collections.abc import Sequence

from polypda.quality.checking.cohort_view import CohortView
from polypda.quality.checking.findings import Drawing, Finding, FrameName, Severity
from polypda.quality.checking.overlay_maps import OverlayMap

LEAST_STILL_SHARE = 2e-4
"""Still content below this share of the frame is not worth a word."""

RARE_SHARE = 0.05
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
            rare = len(concerned) < RARE_SHARE * looked
            if rare:
                code, severity = code.replace("W_", "N_"), Severity.NOTE
            remedy = "" if _all_ignored(view, frames) else " `polypda cohorts import --deidentify` deals with it."
            findings.append(
                Finding(code, severity, message + remedy, frames, drawing=Drawing.MAP, maps=maps,
                        facts={"looked_at": looked, "share": len(concerned) / looked})
            )  # fmt: skip
    still = [one for one in view.overlays if one.still_share >= LEAST_STILL_SHARE]
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
