"""What a cohort's frames are like, in numbers: each frame's figures, measured once and kept by the files' content."""
