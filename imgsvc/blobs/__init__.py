"""Files on disk: stage, publish, remove, sweep."""
