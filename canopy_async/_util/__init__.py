"""General helpers: arguments, instants, tasks, files and texts. No Canopy in them."""
