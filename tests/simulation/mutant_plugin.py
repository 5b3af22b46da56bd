"""A plugin of pytest: loads a module as the mutant that the environment names.

It is imported before all other plugins, and so before the module.
"""

import os
import resource
import time
from pathlib import Path

import pytest
from mutant_judges import CUT, MOST_MEMORY
from mutants import load_mutant

resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
load_mutant(os.environ["MUTANT_MODULE"], int(os.environ["MUTANT_NUMBER"]))


def pytest_collection_modifyitems(items):
    """Keep the tests that reach the mutant, in the order that is asked for."""
    found = {item.nodeid: item for item in items}
    chosen = Path(os.environ["MUTANT_TESTS"]).read_text(encoding="utf-8").split("\n")
    items[:] = [found[test] for test in chosen if test in found]


@pytest.hookimpl(trylast=True)
def pytest_runtest_logfinish():
    """End where the tests have taken as much work as they may."""
    if time.process_time() > float(os.environ["MUTANT_SECONDS"]):
        pytest.exit("that was long enough", returncode=CUT)
