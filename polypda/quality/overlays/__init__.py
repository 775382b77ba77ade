"""What a processor draws over or beside the scope's picture: text, insets, frames that stay the same."""
