"""What one can do with imgsvc: one use case a file."""
