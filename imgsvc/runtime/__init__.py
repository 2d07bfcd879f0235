"""The composition root: the core, the server around it, and work on a folder without one."""
