"""Worker processes: the pool and its slots (parent side), the child's entry (child side).

Nothing is imported here, so that a child starts light.
"""
