"""The terminal: what is printed, how progress looks, and how a command ends."""
