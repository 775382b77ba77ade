"""A few labelled frames for a question about many: which ones, and what they show."""
