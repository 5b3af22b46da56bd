"""One request over aiohttp: admission, token, attempts, deadline, limits of size."""
