"""Phantoms: rendered, synthetic cohorts with exact masks. Not clinical evidence."""
