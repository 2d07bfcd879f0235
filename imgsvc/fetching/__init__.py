"""Images given by URL: asked for in the background, fairly, politely, and with patience."""
