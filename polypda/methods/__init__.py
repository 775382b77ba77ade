"""Adaptation methods: one file per published system, all on one contract."""
