"""Terminal output of the command line: rows, progress, errors and exit statuses."""
