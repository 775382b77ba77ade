"""The cohort folder that an import writes: whole or not at all, with its ledger and manifest."""
