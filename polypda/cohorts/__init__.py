"""Cohorts: what a centre's data is (manifests) and how its files become frames."""
