"""The report of an export: its figures, its charts, and the page that shows them."""
