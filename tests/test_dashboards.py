"""Every query of every dashboard, asked of a live Prometheus after some load and one repair."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections import Counter

import metric_names
import pytest
from panels import Prometheus, Search, all_queries, all_variables, clock
from provocations import ON_A_MACHINE, ON_THE_HOST, Provocation, left_empty
from stack import API, API_UNIT, Stack

from host.processes import wait_until

REQUESTS = 100
HEALED_SECONDS = 30.0
# The objectives are recorded once a minute, and need two minutes for a first value.
FILLED_SECONDS = 240.0

# How a variable asks for the values of a label.
LABEL_VALUES = re.compile(r"label_values\((?P<series>.+), (?P<label>\w+)\)")

# How many provocations claim each place.
CLAIMS = Counter(place for each in (*ON_THE_HOST, *ON_A_MACHINE) for place in each.places)


def test_every_query_finds_something_after_load_and_a_repair(stack: Stack) -> None:
    prometheus, since = Prometheus(stack.run), clock(stack.run)
    put_load_on(stack)
    stack.run(f"systemctl stop {API_UNIT}")
    assert wait_until(stack.api_is_healthy, HEALED_SECONDS), "the API was not healed"
    put_load_on(stack)
    queries = [query.about(API_UNIT) for query in all_queries() if query.place not in CLAIMS]
    search = Search(prometheus, queries, since)
    assert wait_until(search.is_over, FILLED_SECONDS), f"no data: {search.left}"


def test_whatever_may_find_nothing_is_provoked_once() -> None:
    places = Counter(query.place for query in all_queries())
    assert {place: places[place] for place in CLAIMS} == dict.fromkeys(CLAIMS, 1)
    assert CLAIMS == Counter(set(CLAIMS))


@pytest.mark.parametrize("provocation", ON_THE_HOST, ids=lambda it: it.what)
def test_what_load_and_a_repair_leave_empty_is_filled_by(
    stack: Stack, provocation: Provocation
) -> None:
    assert left_empty(stack.run, [provocation], wait_until) == []
    stack.wait_until_quiet()


def test_what_is_left_to_a_machine_of_its_own_is_asked_rightly(stack: Stack) -> None:
    queries = [query for provocation in ON_A_MACHINE for query in provocation.queries()]
    Prometheus(stack.run).filled(queries, clock(stack.run))


def test_every_variable_has_values(stack: Stack) -> None:
    variables = list(all_variables())
    assert variables
    for variable in variables:
        asked = LABEL_VALUES.fullmatch(variable.text)
        assert asked, f"{variable} is asked for in another way"
        series = urllib.parse.urlencode({"match[]": asked["series"]})
        assert Prometheus(stack.run).get(f"label/{asked['label']}/values?{series}")


def test_every_metric_that_is_named_exists(stack: Stack) -> None:
    names = metric_names.look(Prometheus(stack.run))
    assert names.missing <= metric_names.ON_A_MACHINE.keys() <= names.named


def put_load_on(stack: Stack) -> None:
    for _ in range(REQUESTS):
        stack.request(API, "/transactions")
    body = json.dumps({"amount": "12.34", "currency": "EUR"}).encode()
    answer = stack.request(
        API, "/transactions", body=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status == 201, answer
