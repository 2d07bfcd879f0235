"""The hub: who watches what, and what they have not seen yet."""
