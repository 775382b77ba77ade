"""From what a hospital's disk holds to a cohort folder: readers of other tools' formats, and the writer."""
