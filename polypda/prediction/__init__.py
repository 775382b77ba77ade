"""A self-describing model applied to images and videos, and handed on in other formats."""
