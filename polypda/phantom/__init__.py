"""Phantoms: rendered, synthetic cohorts with exact masks. Not clinical evidence."""

from polypda.cohorts.phantom_look import PhantomLook
from polypda.phantom.cohort_folder import MARKER, NOTICE, render_cohort, rendered_before
from polypda.phantom.renderer import cohort_seed, render_frame

__all__ = ["MARKER", "NOTICE", "PhantomLook", "cohort_seed", "render_cohort", "render_frame", "rendered_before"]
