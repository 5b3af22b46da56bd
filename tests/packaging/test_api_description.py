"""The description of the API: the library asks for what it has, and reads that."""

from pathlib import Path

import attrs
import pytest
import yaml

from canopy_async import AuditEvent, Category, EventDetail, Outcome, Severity
from canopy_async._account.account_query import FILTERS
from canopy_async._api.log_requests import (
    MAX_LIMIT,
    account_log_endpoint,
    event_endpoint,
)
from canopy_async._api.requests import MAX_TAKE, audit_endpoint

FILE = Path(__file__).parents[2] / "benchmarks/contestants/audit.openapi.yaml"
DESCRIPTION = yaml.safe_load(FILE.read_text("utf-8"))
SCHEMAS = DESCRIPTION["components"]["schemas"]


def path_of(endpoint):
    return endpoint.template.replace("{account}", "{accountSlug}")


def parameters_of(endpoint):
    found = DESCRIPTION["paths"][path_of(endpoint)]["get"]["parameters"]
    return {it["name"]: it["schema"] for it in found if it["in"] == "query"}


def test_it_has_the_paths_that_are_read():
    read = (
        audit_endpoint("acme", "idn_1"),
        account_log_endpoint("acme"),
        event_endpoint("acme", "evt_1"),
    )
    assert set(map(path_of, read)) == DESCRIPTION["paths"].keys()


def test_the_log_of_the_account_has_the_filters_and_bounds_that_are_sent():
    asked = parameters_of(account_log_endpoint("acme"))
    assert asked.keys() == FILTERS | {"from", "to", "cursor", "limit"}
    assert asked["limit"]["maximum"] == MAX_LIMIT
    assert parameters_of(audit_endpoint("acme", "x"))["take"]["maximum"] == MAX_TAKE


def test_a_row_has_the_fields_of_an_event():
    fields = {field.name for field in attrs.fields(AuditEvent)} - {"extra"}
    assert SCHEMAS["AuditLogRow"]["properties"].keys() == fields


def test_a_row_with_its_relations_has_the_lists_of_an_event_detail():
    _, lists = SCHEMAS["EventDetail"]["properties"]["data"]["allOf"]
    fields = {field.name for field in attrs.fields(EventDetail)} - {"event"}
    assert lists["properties"].keys() == fields


@pytest.mark.parametrize("values", [Category, Severity, Outcome])
def test_choices_are_those_that_are_known(values):
    known = {member.value for member in values.__members__.values()}
    assert set(SCHEMAS[values.__name__]["enum"]) == known
    row = SCHEMAS["AuditLogRow"]["properties"][values.__name__.lower()]
    assert set(row["enum"]) == known
