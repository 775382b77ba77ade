"""Images, masks and videos as they are stored, each oddity noticed and named."""
