"""What annotation tools write: files, shapes, run lengths, classes, and the label that comes of them."""
