"""Mirror lists of millions of images: polite, resumable, verified."""

__version__ = "0.1.0"
