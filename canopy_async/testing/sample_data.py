"""Events and identities that look like real ones; equal seeds give equal ones."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar

import attrs

from canopy_async._util.instants import moved
from canopy_async.testing.api_instants import as_text
from canopy_async.testing.dice import Dice
from canopy_async.testing.store import Row

_T = TypeVar("_T")

_CHANCE_BYTES = 48
_MISSING_BELOW = 20
_NULL_BELOW = 40
_BARE_BELOW = 64
_HIDDEN_BELOW = 32
_PRIVATE_BELOW = 128


def _weighted(values: Iterable[_T], weights: Iterable[int]) -> tuple[_T, ...]:
    """Repeats each value as often as it weighs, for a pick by one index."""
    pairs = zip(values, weights, strict=True)
    return tuple(value for value, weight in pairs for _ in range(weight))


def _severities(*weights: int) -> tuple[str, ...]:
    return _weighted(("info", "notice", "warning", "critical"), weights)


def _outcomes(*weights: int) -> tuple[str, ...]:
    return _weighted(("success", "failure", "denied"), weights)


_CALM = _severities(90, 7, 2, 1)
_ROUTINE = _severities(40, 45, 12, 3)
_SENSITIVE = _severities(15, 60, 22, 3)
_WATCHED = _severities(5, 20, 65, 10)
_FINE = _outcomes(96, 3, 1)
_GUARDED = _outcomes(88, 2, 10)
_REFUSED = _outcomes(0, 80, 20)
_FAILED = _outcomes(0, 1, 0)


@attrs.frozen
class _Kind:
    action: str
    category: str | None
    resource_type: str | None
    weight: int
    severities: tuple[str, ...] = _CALM
    outcomes: tuple[str, ...] = _FINE


_KINDS = (
    _Kind("auth.login.succeeded", "auth", "session", 220),
    _Kind("auth.login.failed", "auth", "session", 45, _WATCHED, _REFUSED),
    _Kind("auth.token.refreshed", "auth", "session", 180),
    _Kind("auth.logout", "auth", "session", 60),
    _Kind("identity.updated", "identity", "identity", 70),
    _Kind("identity.created", "identity", "identity", 15),
    _Kind("identity.deactivated", "identity", "identity", 6, _SENSITIVE),
    _Kind("admin_user.invited", "admin_user", "admin_user", 8),
    _Kind("tenancy.environment.created", "tenancy", "environment", 5),
    _Kind("hierarchy.node.moved", "hierarchy", "node", 9),
    _Kind("role.created", "rbac", "role", 12),
    _Kind("role.assigned", "rbac", "role", 40, _ROUTINE),
    _Kind("permission.checked", "authorization", "permission", 130, _CALM, _GUARDED),
    _Kind("api_key.created", "api_keys", "api_key", 10, _SENSITIVE),
    _Kind("api_key.revoked", "api_keys", "api_key", 6, _SENSITIVE),
    _Kind("oauth.consent.granted", "oauth", "oauth_client", 22),
    _Kind("webhook.delivery.failed", "webhooks", "webhook", 18, _WATCHED, _FAILED),
    _Kind("invite.accepted", "invites", "invite", 12),
    _Kind("mfa.challenge.passed", "mfa", "factor", 75),
    _Kind("mfa.factor.removed", "mfa", "factor", 5, _WATCHED),
    _Kind("audit.query.executed", "audit", None, 25),
    _Kind("billing.invoice.paid", "billing", "invoice", 4),
    _Kind("sso.connection.tested", "sso", "sso_connection", 6),
    _Kind("organization.renamed", "organization", "organization", 3),
    _Kind("legacy.sync.completed", None, None, 14),
)
_ANY_KIND = _weighted(_KINDS, (kind.weight for kind in _KINDS))
_ANY_ACTOR = _weighted(
    ("user", "identity", "api_key", "platform", "support-bot"), (45, 35, 12, 7, 1)
)
_FIRST_NAMES = ("Ada", "Björn", "Chidi", "Dana", "Émile", "Farah", "Grace", "Hiro")
_LAST_NAMES = ("Lovelace", "Ångström", "Okafor", "Scully", "Zola", "Nasser", "Ōta")
_NAMES = tuple(f"{first} {last}" for first in _FIRST_NAMES for last in _LAST_NAMES)
_AGENTS = ("Mozilla/5.0 (X11; Linux x86_64)", "canopy-cli/2.4.1", "okhttp/4.12.0")


@attrs.define(kw_only=True)
class EventMaker:
    """Makes the events of one identity.

    Attributes:
        account: The account slug, from which the account's id is derived.
        identity: The identity's id.
        dice: Where all that varies comes from.
    """

    account: str
    identity: str
    dice: Dice

    def series(
        self,
        count: int,
        *,
        start: datetime,
        spacing: float,
        tie_probability: float,
    ) -> Iterator[Row]:
        """Makes events in the order of time.

        Args:
            count: How many.
            start: When the first one happened, in UTC.
            spacing: The mean number of seconds between events that do not tie.
            tie_probability: How many share the instant of the one before.

        Yields:
            The rows.
        """
        dice = self.dice
        moment = start
        written = as_text(moment)
        for place in range(count):
            if place and not dice.hits(tie_probability):
                gap = 1 + int(dice.expovariate(1) * spacing * 1000)
                moment = moved(moment, timedelta(milliseconds=gap))
                written = as_text(moment)
            yield self.event(written)

    def event(self, created_at: str) -> Row:
        """Makes one event.

        Args:
            created_at: When, as it is served.

        Returns:
            The row, its fields in the order of the reference.
        """
        # One draw of bytes per event: a draw per field would take most of the time.
        chance = self.dice.randbytes(_CHANCE_BYTES)
        bits = chance.hex()
        kind = _ANY_KIND[int.from_bytes(chance[:2]) % len(_ANY_KIND)]
        actor_type = _pick(_ANY_ACTOR, chance[2])
        actor = chance[3] % len(_NAMES)
        resource_id = kind.resource_type and f"{kind.resource_type}_{bits[8:12]}"
        if kind.resource_type == "identity":
            resource_id = self.identity
        row: Row = {"id": f"evt_{bits[-24:]}", "account_id": f"acc_{self.account}"}
        _put(row, "application_id", f"app_{bits[12:14]}", chance[7])
        _put(row, "environment_id", f"env_{bits[12]}", chance[8])
        _put(row, "actor_id", f"{actor_type}_{actor}", chance[9])
        row["actor_type"] = actor_type
        row["action"] = kind.action
        _put(row, "resource_type", kind.resource_type, chance[10])
        _put(row, "resource_id", resource_id, chance[11])
        row["metadata"] = _metadata(kind, bits[-24:], actor, chance[12])
        row["created_at"] = created_at
        _put(row, "actor_label", _NAMES[actor], chance[13])
        _put(row, "resource_label", kind.resource_type, chance[14])
        _put(row, "correlation_id", _uuid(bits[-48:-16]), chance[15])
        row["outcome"] = _pick(kind.outcomes, chance[16])
        _put(row, "category", kind.category, chance[17])
        row["severity"] = _pick(kind.severities, chance[18])
        row["customer_visible"] = chance[19] >= _HIDDEN_BELOW
        row["identity_visible"] = chance[20] >= _PRIVATE_BELOW
        return row


def make_identity(number: int, dice: Dice, created_at: str) -> Row:
    """Makes the fields of an identity, without its id."""
    person = dice.randrange(len(_NAMES))
    first_name, _, last_name = _NAMES[person].partition(" ")
    return {
        "email": f"{number}.{_email(person)}",
        "first_name": first_name,
        "last_name": None if dice.hits(0.1) else last_name,
        "avatar_url": None,
        "external_id": f"ext-{number}" if dice.hits(0.5) else None,
        "is_active": not dice.hits(0.1),
        "email_verified": not dice.hits(0.2),
        "app_membership_count": dice.randrange(4),
        "total_assignments": dice.randrange(6),
        "created_at": created_at,
    }


def _pick(table: tuple[_T, ...], byte: int) -> _T:
    return table[byte * len(table) >> 8]


def _put(row: Row, name: str, value: str | None, byte: int) -> None:
    if byte < _MISSING_BELOW:
        return
    row[name] = None if byte < _NULL_BELOW else value


def _metadata(kind: _Kind, bits: str, actor: int, byte: int) -> dict[str, Any]:
    if kind.category == "auth":
        return {
            "ip": f"198.51.100.{byte}",
            "user_agent": _AGENTS[byte % len(_AGENTS)],
            "email": _email(actor),
            "geo": {"country": "SE", "point": [59.33, 18 + byte / 1000]},
        }
    if kind.category in {"identity", "rbac"}:
        changes = [{"field": "display_name", "from": None, "to": _NAMES[actor]}]
        return {"changes": changes, "request": {"trace": bits, "retries": 0}}
    if byte < _BARE_BELOW:
        return {}
    return {"source": "api", "duration_ms": byte, "cached": False, "tags": ["a", "b"]}


def _email(person: int) -> str:
    return f"person{person}@example.com"


def _uuid(bits: str) -> str:
    return f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-8{bits[17:20]}-{bits[20:32]}"
