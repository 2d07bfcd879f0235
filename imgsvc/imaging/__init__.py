"""libvips: header, decode, steps, encode. Loaded in worker processes only."""
