"""SQLite: jobs and images, one writer, a few readers."""
