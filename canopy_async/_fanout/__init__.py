"""Parts of a fan-out that are no use without it."""
