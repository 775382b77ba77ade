"""polypda: adapt a polyp segmenter from one endoscopy centre to another, and show honestly whether it helped."""

__version__ = "0.1.0"
