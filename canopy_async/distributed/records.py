"""What one attempt of a task has read: written by its worker, adopted by the driver.

A record is an object of its own beside the data files. It is written last, under
a name that no other attempt has, and never changed: what it names is there. A
killed attempt leaves files that no record names.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

import attrs
import msgspec

from canopy_async.errors import ExportError
from canopy_async.export.manifest import Commit

__all__ = ["Record", "file_name", "is_record", "is_shard_file"]

VERSION: Final = 1

_SHARD_FILE: Final = re.compile(
    r"(events-s\d{5,9}-[0-9a-f]{8}-\d{5}\.[a-z.]+|shard-s\d{5,9}-[0-9a-f]{8}\.json)"
    r"(\.partial)?"
)


@attrs.frozen(kw_only=True)
class Record:
    """What one attempt has read.

    Attributes:
        scope: The hash of the export.
        task: The task's name.
        attempt: The attempt's own name.
        begins: Where each identity was gone on with, as the manifest said then;
            those that are not in it were begun at the start.
        follows: Whether it begins where another task's part of the log ends, so
            that it can only be adopted right after that.
        commits: The files, and what is known of the identities in each.
    """

    version: Literal[1] = VERSION
    scope: str
    task: Annotated[str, msgspec.Meta(pattern=r"^s[0-9]{5,9}$")]
    attempt: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8}$")]
    begins: Mapping[str, str]
    follows: bool
    commits: tuple[Commit, ...]

    @property
    def name(self) -> str:
        """The name of its object."""
        return f"shard-{self.task}-{self.attempt}.json"

    def dumps(self) -> bytes:
        """Return the record as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def loads(cls, data: bytes) -> Self:
        """Return the record that `dumps` wrote.

        Raises:
            ExportError: It is damaged, or of an unknown version.
        """
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ExportError(f"not the record of a shard: {error}") from None


def file_name(task: str, attempt: str, name: str) -> str:
    """Return what a data file of an attempt is called where all files are."""
    return f"events-{task}-{attempt}-{name.removeprefix('events-')}"


def is_shard_file(name: str) -> bool:
    """Tell whether a name is one that some attempt of a task has made."""
    return bool(_SHARD_FILE.fullmatch(name))


def is_record(name: str) -> bool:
    """Tell whether a name is that of a record."""
    return is_shard_file(name) and name.startswith("shard-") and name.endswith(".json")
