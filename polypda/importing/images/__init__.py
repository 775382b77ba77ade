"""Pictures and masks as they are stored, each oddity noticed and named."""
