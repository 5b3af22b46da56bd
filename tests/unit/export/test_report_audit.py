"""The questions of an auditor: identities, changes of privileges, runs of failures."""

import pytest

from canopy_async.export.batches import Line, LineBatch, Row
from canopy_async.export.report.audit import (
    AuditBuilder,
    failure_runs,
    is_privilege_change,
)


@pytest.mark.parametrize(
    "action",
    [
        "role.assigned",
        "account.roles.changed",
        "policies.updated",
        "api_key.created",
        "MFA.disabled",
        "sso-config.saved",
        "member.removed",
        "environment.permission.granted",
    ],
)
def test_a_change_of_privileges_is_known_by_a_word(action):
    assert is_privilege_change(action)


@pytest.mark.parametrize(
    "action",
    [
        *("auth.login", "role.read", "members.listed", "monkey.fed", "", "...."),
        *("permission.checked", "mfa.challenge.passed", "sso.connection.tested"),
    ],
)
def test_other_actions_and_looks_at_privileges_are_none(action):
    assert not is_privilege_change(action)


def row(at, outcome, *, actor="usr_1", action="auth.login"):
    return Row(
        identity_id="idn_1",
        id=f"evt_{at}",
        created_at=at,
        actor_type="user",
        actor_id=actor,
        actor_label=None,
        action=action,
        resource_type=None,
        resource_id=None,
        resource_label=None,
        outcome=outcome,
        category=None,
        severity="info",
    )


def test_a_run_of_failures_ends_with_the_success_of_its_actor_and_action():
    rows = [
        *(row(at, "failure") for at in (3, 1, 2)),  # in any order
        row(4, "success", actor="usr_2"),
        row(5, "success", action="auth.logout"),
        row(6, "denied"),
        row(7, "success"),
        row(8, "failure"),
    ]
    (run,) = failure_runs(rows)
    assert (run.failures, run.began, run.last.created_at, run.succeeded) == (4, 1, 6, 7)


def test_a_run_without_a_success_is_one_too_and_the_longest_is_first():
    rows = [row(at, "failure") for at in range(3)]
    rows += [row(at, "failure", actor="usr_2") for at in range(5)]
    runs = failure_runs(rows)
    assert [(run.last.actor_id, run.failures) for run in runs] == [
        ("usr_2", 5),
        ("usr_1", 3),
    ]
    assert {run.succeeded for run in runs} == {None}


def test_runs_that_a_success_came_after_are_listed_before_longer_ones():
    rows = [row(at, "failure", actor="usr_1") for at in range(9)]
    rows += [row(at, "failure", actor="usr_2") for at in range(3)]
    rows += [row(20, "success", actor="usr_2")]
    assert [run.last.actor_id for run in failure_runs(rows)] == ["usr_2", "usr_1"]


def test_an_action_that_names_its_outcome_is_one_action():
    rows = [row(at, "failure", action="auth.login.failed") for at in range(3)]
    rows += [row(9, "success", action="auth.login.succeeded")]
    (run,) = failure_runs(rows)
    assert (run.failures, run.succeeded) == (3, 9)


def test_actors_that_cannot_be_told_apart_make_no_run():
    assert failure_runs([row(at, "failure", actor=None) for at in range(9)]) == []


def test_two_failures_are_no_run():
    assert failure_runs([row(1, "failure"), row(2, "failure"), row(3, "success")]) == []


def test_identities_are_counted_over_batches():
    from datetime import UTC, datetime  # only here

    def line(whose, second, outcome, action="auth.login"):
        return Line(
            identity_id=whose,
            id=f"{whose}-{second}",
            created_at=datetime(1970, 1, 1, 0, 0, second, tzinfo=UTC),
            actor_type="user",
            action=action,
            outcome=outcome,
            severity="info",
        )

    builder = AuditBuilder()
    builder.add(LineBatch([line("a", 5, "failure"), line("b", 1, "success")]))
    builder.add(
        LineBatch([line("a", 2, "denied"), line("a", 9, "success", "role.set")])
    )
    audit = builder.result()
    a, b = audit.identities["a"], audit.identities["b"]
    assert (a.events, a.failures, a.denials) == (3, 1, 1)
    assert (a.first, a.last) == (2_000_000, 9_000_000)
    assert (b.events, b.first, b.last) == (1, 1_000_000, 1_000_000)
    assert audit.changed == {"role.set": 1}
    assert [change.id for change in audit.changes] == ["a-9"]
