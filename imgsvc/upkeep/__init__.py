"""What is done now and then: expiry, sweeping."""
