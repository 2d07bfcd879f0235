"""Messages to receivers that jobs name, by Standard Webhooks: signed, and tried for days."""
