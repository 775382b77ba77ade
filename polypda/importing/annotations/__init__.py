"""What annotation tools write: files, shapes, run lengths, words, and the label that comes of them."""
