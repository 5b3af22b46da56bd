"""Task records: written by a worker for what it has read, adopted by the driver.

A record is an object of its own beside the data files. It is written last, under
a name that no other attempt has, and never changed: what it names is there. A
killed attempt leaves files that no record names.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal, Self

import attrs
import msgspec

from canopy_async.errors import ExportError
from canopy_async.export.manifest_records import Commit
from canopy_async.export.names import record_name
from canopy_async.export.standing import Standing

__all__ = ["Record", "fingerprints"]

VERSION: Final = 2


@attrs.frozen(kw_only=True)
class Record:
    """The record of what one attempt has read.

    Attributes:
        scope: The hash of the export.
        task: The task's name.
        attempt: The attempt's own name.
        begins: Where each identity stood in the manifest when the task was made,
            as fingerprints; those that are not in it were not read before.
        follows: Whether it begins where another task's part of the log ends, so
            that it can only be adopted right after that.
        commits: The files, and what is known of the identities in each.
    """

    version: Literal[2] = VERSION
    scope: str
    task: Annotated[str, msgspec.Meta(pattern=r"^s[0-9]{5,9}$")]
    attempt: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8}$")]
    begins: Mapping[str, str]
    follows: bool
    commits: tuple[Commit, ...]

    @property
    def name(self) -> str:
        """The name of its object."""
        return record_name(self.task, self.attempt)

    @property
    def identities(self) -> frozenset[str]:
        """The identities that it says something of."""
        return frozenset(
            name
            for commit in self.commits
            for name in (*(entry.id for entry in commit.identities), *commit.unchanged)
        )

    def fits(self, standings: Mapping[str, Standing]) -> bool:
        """Tell whether it begins where all of its identities stand.

        One that doesn't is that of an attempt that another one has overtaken: its
        rows would be there twice.

        Args:
            standings: The standings of identities by the manifest.
        """
        names = self.identities
        begins = {name: self.begins.get(name) for name in names}
        now = fingerprints(names, standings)
        return not self.follows and begins == {name: now.get(name) for name in names}

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


def fingerprints(
    ids: Iterable[str], standings: Mapping[str, Standing]
) -> dict[str, str]:
    """Return the fingerprint of where each of these identities stands.

    Args:
        ids: The identities; those that were not read before have none.
        standings: The standings of identities.
    """
    return {name: standings[name].fingerprint for name in ids if name in standings}
