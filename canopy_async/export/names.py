"""The names in the directory of an export.

Readers of tables skip names that begin with ``_`` or a dot. So what is not a whole
and final data file begins with ``_``.
"""

import re
from typing import Final

from canopy_async.export.manifest_records import FILE_NAME

__all__ = [
    "MAX_FILES",
    "is_data_file",
    "is_ignored",
    "is_numbered",
    "is_of_task",
    "is_record",
    "number_of",
    "numbered_name",
    "partial_names",
    "record_name",
    "stem_of_partial",
    "task_file_name",
    "under_way",
]

MAX_FILES: Final = 99_999
"""Files of one export at most: their names have five digits, so that they sort."""

_PARTIAL: Final = ".partial"
_NUMBERED: Final = re.compile(r"events-\d{5}\.[a-z.]+")
_ATTEMPT: Final = r"s\d{5,9}-[0-9a-f]{8}"
_TASK_FILE: Final = re.compile(
    rf"_?(events-{_ATTEMPT}-\d{{5}}\.[a-z.]+|shard-{_ATTEMPT}\.json)(\.partial)?"
)
_RECORD: Final = re.compile(rf"_shard-{_ATTEMPT}\.json")
_DATA_FILE: Final = re.compile(FILE_NAME)
_IGNORED: Final = frozenset(
    (".DS_Store", ".gitkeep", "Thumbs.db", "desktop.ini", "lost+found")
)
"""What systems and people leave in directories that are empty otherwise."""


def numbered_name(number: int, suffix: str) -> str:
    """Return the final name of a data file."""
    return f"events-{number:05d}.{suffix}"


def number_of(name: str) -> int:
    """Return the number in the final name of a data file."""
    return int(name[len("events-") :].partition(".")[0])


def under_way(name: str) -> str:
    """Return what a data file is called until it is final."""
    return f"_{name}{_PARTIAL}"


def partial_names(name: str) -> tuple[str, ...]:
    """Return what a data file may be called until it is final.

    The second is the name that version 1 gave.
    """
    return under_way(name), f"{name}{_PARTIAL}"


def stem_of_partial(name: str) -> str | None:
    """Return the final name of a data file under way; None where it is none."""
    stem = name.removeprefix("_").removesuffix(_PARTIAL)
    return stem if name in partial_names(stem) else None


def task_file_name(task: str, attempt: str, name: str) -> str:
    """Return the final name of a data file that a task on a cluster has written.

    Args:
        task: The task's name.
        attempt: The name of this attempt of it.
        name: What the file is called on the task's own disk.
    """
    return f"events-{task}-{attempt}-{name.removeprefix('events-')}"


def record_name(task: str, attempt: str) -> str:
    """Return the name of the record of what an attempt of a task has read."""
    return f"_shard-{task}-{attempt}.json"


def is_record(name: str) -> bool:
    """Tell whether this is the name of such a record."""
    return bool(_RECORD.fullmatch(name))


def is_of_task(name: str) -> bool:
    """Tell whether an attempt of a task has made this: a data file, or a record.

    Those of version 1 did not begin with ``_``.
    """
    return bool(_TASK_FILE.fullmatch(name))


def is_data_file(name: str) -> bool:
    """Tell whether this is the final name of a data file."""
    return not name.endswith(_PARTIAL) and bool(_DATA_FILE.fullmatch(name))


def is_numbered(name: str) -> bool:
    """Tell whether this is the final name of a data file of one process."""
    return not name.endswith(_PARTIAL) and bool(_NUMBERED.fullmatch(name))


def is_ignored(name: str) -> bool:
    """Tell whether a file may be in a directory that counts as empty."""
    return name in _IGNORED
