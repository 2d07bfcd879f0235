"""Which image next, and what its result means."""
