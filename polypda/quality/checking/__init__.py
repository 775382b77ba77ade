"""Holding a cohort's files against what is told of it: one look at each frame, then one small check per question."""
