"""The names of files in the directory of an export.

Programs that read a directory as one table skip names that begin with ``_`` or a dot.
Therefore every file that is not a final data file has a name that begins with ``_``.
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
"""The most data files of one export: their numbers have five digits, to sort well."""

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
"""Files that operating systems and people leave in otherwise empty directories."""


def numbered_name(number: int, suffix: str) -> str:
    """Return the final name of the data file with this number."""
    return f"events-{number:05d}.{suffix}"


def number_of(name: str) -> int:
    """Return the number in the final name of a data file."""
    return int(name[len("events-") :].partition(".")[0])


def under_way(name: str) -> str:
    """Return the name that a data file has until it is final."""
    return f"_{name}{_PARTIAL}"


def partial_names(name: str) -> tuple[str, ...]:
    """Return the possible names of a data file until it is final.

    The first is the current one, the second that of format version 1.
    """
    return under_way(name), f"{name}{_PARTIAL}"


def stem_of_partial(name: str) -> str | None:
    """Return the final name for the name of an unfinished data file, else None."""
    stem = name.removeprefix("_").removesuffix(_PARTIAL)
    return stem if name in partial_names(stem) else None


def task_file_name(task: str, attempt: str, name: str) -> str:
    """Return the final name of a data file that a task on a cluster wrote.

    Args:
        task: The task's name.
        attempt: The name of the task's attempt.
        name: The name of the file on the disk of the task's machine.
    """
    return f"events-{task}-{attempt}-{name.removeprefix('events-')}"


def record_name(task: str, attempt: str) -> str:
    """Return the name of the file in which an attempt of a task records its result."""
    return f"_shard-{task}-{attempt}.json"


def is_record(name: str) -> bool:
    """Tell whether a name is one that `record_name` returns."""
    return bool(_RECORD.fullmatch(name))


def is_of_task(name: str) -> bool:
    """Tell whether a name is that of a data file or record of a task on a cluster.

    Records of format version 1 had names without the ``_``.
    """
    return bool(_TASK_FILE.fullmatch(name))


def is_data_file(name: str) -> bool:
    """Tell whether a name is the final name of a data file."""
    return not name.endswith(_PARTIAL) and bool(_DATA_FILE.fullmatch(name))


def is_numbered(name: str) -> bool:
    """Tell whether a name is one that `numbered_name` returns.

    Data files of an export in one process have such names.
    """
    return not name.endswith(_PARTIAL) and bool(_NUMBERED.fullmatch(name))


def is_ignored(name: str) -> bool:
    """Tell whether a directory that holds a file of this name still counts as empty."""
    return name in _IGNORED
