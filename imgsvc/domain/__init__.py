"""The words of the product and their rules: pure data, no I/O."""
