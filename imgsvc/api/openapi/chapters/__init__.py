"""The operations, chapter by chapter. A chapter is a function of the server's limits."""
