"""Scripts that an image's own Python runs: standard library only, and what the image has."""
