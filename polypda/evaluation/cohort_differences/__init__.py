"""How far two cohorts differ, feature by feature and as a whole, with uncertainty over patients or sequences."""
