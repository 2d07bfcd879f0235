"""A folder whose images go to a server as they arrive."""
