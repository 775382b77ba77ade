"""The clinician's page, and what comes back from it."""
