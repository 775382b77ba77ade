"""What counts as a collapse: every limit of the watch, of the guard that chooses a checkpoint, and of the pages.

docs/collapse.md lists them with where each is looked at.
"""

from __future__ import annotations

# How much of the target is marked
AREA_FACTOR = 4.0
"""A share that is so many times another one has left it: what a snapshot marks of the target beside the source's
labels, what a training marks beside its beginning, what pseudo-labels mark beside the source's labels."""
VANISHED = 0.02
"""Less than this fraction of what was marked in the first steps stops a training: nothing is marked any more."""
LEAST_MARKED = 1e-3
"""A share below which a model marks nothing to speak of: there is nothing to collapse from."""
FLOODED = 0.6
"""More than this share of the target (and :data:`AREA_FACTOR` times the beginning's), or of pseudo-labels, marked."""
FROM_NOTHING = 0.01
"""A share that is worth a word where the beginning marked nothing."""
MOSTLY_UNMARKED = 0.5
"""From this share of frames on which nothing is marked, a page says so as an alarm."""

# What is still known of the source
SOURCE_RATIO, SOURCE_RISE = 3.0, 0.2
"""The source's supervised loss has grown by this factor, and by so much: the training is stopped."""
SOURCE_DICE_LOST = 0.05
"""Loss of Dice on the source from which a page calls it forgotten."""
HELD_OUT_DICE_LOST = 0.1
"""Likewise on a few held-out frames of the source, where there are no labels of the target: they are few."""

# Agreement of two models (mean Dice of their maps on the target)
LEAST_AGREEMENT = 0.3
"""An adapted model that agrees less with source-only has forgotten its task."""
LEAST_ROUND_AGREEMENT = 0.4
"""Pseudo-labels of two rounds that agree less do not improve each other."""

# The game
NO_ENTROPY = 1e-4
"""Nats per pixel: below it every pixel is certain."""
KNOWS_ALL = 0.995
"""Accuracy of a discriminator that tells the domains apart without error: the training is stopped."""
WON, ABOVE_CHANCE = 0.95, 0.05
"""An accuracy above the first, or less than the second above chance, leaves the alignment little to follow; said."""
STILL = 1e-4
"""Fraction of the first steps' gradient that is left to a player that no longer moves."""
DEAD = 1e-3
"""Fraction of the first steps' change of loss that is left to a discriminator that answers alike."""
