"""What to make of an image: the recipe, its limits, its arithmetic. Pure; no libvips."""
