"""The engine without a server, which stays and takes what arrives."""
