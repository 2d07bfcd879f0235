"""Other designs of such a service, spoken by the same server. Each only translates."""
