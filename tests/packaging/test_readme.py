"""The README: short, with one command to run it and one to test it."""

import re
import tomllib

from support.markdown import PAGES, ROOT

README = PAGES["README.md"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MADE = "python3 -m venv .venv && "


def line_under(heading):
    """Return the only line of the only block under a heading."""
    (block,) = (block for block in README.blocks if block.heading == heading)
    assert block.language == "sh"
    (line,) = block.code.splitlines()
    return line


def test_it_is_short():
    assert len(README.text.splitlines()) <= 200


def test_run_it_is_one_command_that_runs_the_demo():
    installed = ".venv/bin/pip install -q -e '.[cli]' && "
    assert line_under("Run it") == MADE + installed + ".venv/bin/canopy-async demo"


def test_test_it_is_one_command_that_runs_all_tests():
    renewed = ".venv/bin/python -m pip install -q -U 'pip>=25.1' && "
    installed = ".venv/bin/pip install -q -e '.[all]' --group dev && "
    tests = ".venv/bin/python -m pytest -q"
    assert line_under("Test it") == MADE + renewed + installed + tests


def test_the_commands_install_extras_and_groups_that_exist():
    extras = set(re.findall(r"'\.\[(\w+)\]'", README.text))
    assert extras == {"all", "cli"}
    assert extras <= PROJECT["project"]["optional-dependencies"].keys()
    groups = set(re.findall(r"--group (\w+)", README.text))
    assert groups == {"dev"}
    assert groups <= PROJECT["dependency-groups"].keys()
    assert "canopy-async" in PROJECT["project"]["scripts"]


def test_the_table_of_extras_names_each():
    rows = README.table_after("| extra | brings |")
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert named == PROJECT["project"]["optional-dependencies"].keys()


def test_the_extra_of_all_has_each_of_the_others():
    extras = PROJECT["project"]["optional-dependencies"]
    (others,) = extras["all"]
    assert set(re.findall(r"\w+", others.partition("[")[2])) == extras.keys() - {"all"}


def test_there_are_five_examples():
    blocks = [block for block in README.blocks if block.language == "python"]
    assert [block.heading for block in blocks] == ["Examples"] * 5


def test_each_page_is_named():
    named = {target.partition("#")[0] for target in README.links}
    indexed = {"docs/index.md", "docs/changelog.md"}
    pages = {
        name
        for name in PAGES
        if name.startswith("docs/") and not name.startswith("docs/reference/")
    }
    assert pages - named == indexed
