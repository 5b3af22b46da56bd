"""The pytest plugin: fixtures with a running server and a session on it.

Installing the package is enough. The fixtures work in tests of any kind: plain ones,
those of pytest-asyncio in either mode and with any loop scope, those of anyio.

Example:
    ```python
    async def test_export(local_canopy, canopy_session):
        local_canopy.seed_events("idn_1", 250)
        events = await canopy_session.events("idn_1").collect()
        assert len(events) == 250

    def test_page(local_canopy):
        local_canopy.seed_events("idn_1", 3)
        assert TestClient(app).get("/identities/idn_1").status_code == 200
    ```
"""

from typing import TYPE_CHECKING

import pytest

import canopy_async
from canopy_async import testing

if TYPE_CHECKING:
    from collections.abc import Iterator

# This module is imported by every pytest run with the package installed: the
# attributes of both packages are looked up, and aiohttp imported, in fixtures only.


@pytest.fixture
def local_canopy() -> "Iterator[testing.LocalCanopy]":
    """A running local server of the API, empty, for one test."""
    with testing.LocalCanopy() as server:
        yield server


@pytest.fixture
def canopy_session(
    local_canopy: "testing.LocalCanopy",
) -> "Iterator[canopy_async.CanopySession]":
    """A session on ``local_canopy``, for the event loop that uses it first.

    It is closed after the test, or with the loop if that ends before.
    """
    from canopy_async.testing.sessions import SelfClosingSession

    session = SelfClosingSession(
        local_canopy.account, local_canopy.token, base_url=local_canopy.base_url
    )
    yield session
    session.close()
