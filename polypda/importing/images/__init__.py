"""Pictures, masks and films as they are stored, each oddity noticed and named."""
