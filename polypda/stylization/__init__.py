"""Appearance adaptation (FCAN's AAN): frames repainted in another cohort's style, once, before any training."""
