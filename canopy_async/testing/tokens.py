"""Bearer tokens shaped like the real ones: three parts, a subject, an expiry."""

import base64
import json
from datetime import datetime, timedelta
from typing import Literal

import attrs

from canopy_async._util.instants import moved
from canopy_async.testing.api_instants import Clock
from canopy_async.testing.dice import Dice
from canopy_async.testing.refusal import RefusedError

Principal = Literal["admin", "identity"]

_SIGNATURE_BYTES = 256


@attrs.define(kw_only=True)
class _Grant:
    principal: Principal
    expires: datetime | None
    uses: int | None


class Tokens:
    """The tokens that a server has issued."""

    def __init__(self, *, account: str, seed: int, clock: Clock) -> None:
        self._dice = Dice(f"tokens of {seed}, {account}")
        self._clock = clock
        self._grants: dict[str, _Grant] = {}

    def issue(
        self, principal: Principal, *, lifetime: float | None, uses: int | None
    ) -> str:
        """Makes a token."""
        now = self._clock()
        expires = None if lifetime is None else moved(now, timedelta(seconds=lifetime))
        claims = {
            "sub": f"{principal}_{len(self._grants) + 1}",
            "principal": principal,
            "iat": int(now.timestamp()),
            "jti": f"{self._dice.getrandbits(64):016x}",
        }
        if expires is not None:
            claims["exp"] = int(expires.timestamp())
        signature = self._dice.randbytes(_SIGNATURE_BYTES)
        token = ".".join(
            (_part({"alg": "RS256", "typ": "JWT"}), _part(claims), _encode(signature))
        )
        self._grants[token] = _Grant(principal=principal, expires=expires, uses=uses)
        return token

    def revoke(self, token: str) -> None:
        """Makes a token invalid; it need not be known."""
        self._grants.pop(token, None)

    def check(self, authorization: str | None) -> None:
        """Admits the bearer of an admin's valid token.

        Args:
            authorization: The header's value.

        Raises:
            RefusedError: With status 401 or 403.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise RefusedError(401, "Missing bearer token", code="auth.token.missing")
        grant = self._grants.get(token.strip())
        if grant is None:
            raise RefusedError(401, "Invalid token", code="auth.token.invalid")
        if self._is_spent(grant):
            raise RefusedError(401, "Token expired", code="auth.token.expired")
        if grant.principal != "admin":
            raise RefusedError(403, "Wrong principal type", code="auth.principal.wrong")

    def _is_spent(self, grant: _Grant) -> bool:
        if grant.expires is not None and self._clock() >= grant.expires:
            return True
        if grant.uses is None:
            return False
        grant.uses -= 1
        return grant.uses < 0


def _part(claims: object) -> str:
    return _encode(json.dumps(claims, separators=(",", ":")).encode())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
