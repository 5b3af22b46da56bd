"""The command line, as ``python -m canopy_async``."""

from canopy_async.cli import main

if __name__ == "__main__":
    main()
