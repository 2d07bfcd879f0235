"""One step to a file. Each leaves early when it does not apply."""
