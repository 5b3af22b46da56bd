"""The API without I/O: requests as URLs, answers as typed pages or as errors."""
