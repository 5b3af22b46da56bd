"""The session by its parts: settings, life and limits, and what it reads."""
