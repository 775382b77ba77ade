"""Films: decoded in order, sampled, de-interlaced where they were recorded in fields."""
