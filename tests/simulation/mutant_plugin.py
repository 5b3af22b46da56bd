"""A plugin of pytest: loads a module as the mutant that the environment names.

It is imported before all other plugins, and so before the module.
"""

import os
import resource

from mutants import load_mutant, spread

MOST_MEMORY = 3 * 1024**3
"""Bytes that a process may take: a mutant may fill lists without end."""

resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
load_mutant(os.environ["MUTANT_MODULE"], int(os.environ["MUTANT_NUMBER"]))


def pytest_collection_modifyitems(items):
    items[:] = spread(items, int(os.environ["MUTANT_PARAMETERS"]))
