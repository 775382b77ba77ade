"""What can be said of a model in a centre without labels, or with few: estimated Dice, and audits by a sample."""
