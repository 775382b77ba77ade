"""Phantoms: rendered, synthetic cohorts with exact masks. Not clinical evidence."""

from polypda.cohorts.phantom.cohort_folder import MARKER, NOTICE, render_cohort, rendered_before
from polypda.cohorts.phantom.look import PhantomLook
from polypda.cohorts.phantom.renderer import cohort_seed, render_frame

__all__ = ["MARKER", "NOTICE", "PhantomLook", "cohort_seed", "render_cohort", "render_frame", "rendered_before"]
