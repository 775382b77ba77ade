"""Phantoms: rendered, synthetic cohorts with exact masks. Not clinical evidence."""

from polypda.cohorts.phantom_look import PhantomLook
from polypda.phantom.renderer import MARKER, NOTICE, cohort_seed, render_cohort, render_frame, rendered_before

__all__ = ["MARKER", "NOTICE", "PhantomLook", "cohort_seed", "render_cohort", "render_frame", "rendered_before"]
