"""HTTP: resources, errors, middleware."""
