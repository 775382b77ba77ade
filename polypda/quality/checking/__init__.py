"""Holding a cohort's files against its manifest: one look at each frame, then one small check per question."""
