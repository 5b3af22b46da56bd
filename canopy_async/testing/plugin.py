"""The pytest plugin: fixtures with a running server and a session on it.

Installing the package is enough. The fixtures need pytest-asyncio, in either of
its modes, and say so where it is missing.

Example:
    ```python
    async def test_export(local_canopy, canopy_session):
        local_canopy.seed_events("idn_1", 250)
        events = await canopy_session.events("idn_1").collect()
        assert len(events) == 250
    ```
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

import canopy_async
from canopy_async import testing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# This module is imported by every pytest run with the package installed: the
# attributes of both packages are looked up, and aiohttp imported, in fixtures only.
if TYPE_CHECKING or find_spec("pytest_asyncio"):
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def local_canopy() -> "AsyncIterator[testing.LocalCanopy]":
        """A running local server of the API, empty, for one test."""
        async with testing.LocalCanopy() as server:
            yield server

    @pytest_asyncio.fixture
    async def canopy_session(
        local_canopy: "testing.LocalCanopy",
    ) -> "AsyncIterator[canopy_async.CanopySession]":
        """An open session on ``local_canopy``, closed after the test."""
        async with canopy_async.CanopySession(
            local_canopy.account, local_canopy.token, base_url=local_canopy.base_url
        ) as session:
            yield session

else:

    @pytest.fixture
    def local_canopy() -> None:
        """Says what is missing."""
        pytest.fail(
            "the fixtures of canopy_async need pytest-asyncio: "
            "pip install pytest-asyncio",
            pytrace=False,
        )

    @pytest.fixture
    def canopy_session(local_canopy: None) -> None:
        """Says what is missing, by ``local_canopy``."""
