# SPDX-License-Identifier: Apache-2.0
"""Objects of which a process has one."""

import subprocess
import sys
import threading

import pytest

from smelt._once import once
from smelt._targets import OnDemand

THREADS = 4

ALL_AT_ONCE = """
import sys, threading
sys.setswitchinterval(1e-6)
from smelt import _devices, _wiring
start, seen = threading.Barrier(8), []
def ask():
    start.wait()
    seen.append((_wiring.jobs(), _wiring.driver(), _wiring.helper_store(), _wiring.stubs(), _devices.known_devices()))
threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(seen) == 8 and all(one is other for each in seen for one, other in zip(each, seen[0]))
"""


def asked_by_threads(get):
    """What threads get of which each has begun to make it."""
    found = []
    threads = [threading.Thread(target=lambda: found.append(get())) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.fixture
def make():
    """Makes an object as soon as all threads ask for one."""
    start = threading.Barrier(THREADS)

    def make():
        start.wait()
        return object()

    return make


def test_threads_that_ask_at_once_get_one_object(make):
    get = once(make)
    found = asked_by_threads(get)
    assert len(found) == THREADS
    assert all(one is found[0] for one in [*found, get()])


def test_threads_that_ask_for_a_value_on_demand_at_once_get_one(make):
    values = OnDemand({"it": make})
    found = asked_by_threads(lambda: values["it"])
    assert len(found) == THREADS
    assert all(one is found[0] for one in [*found, values["it"]])


def test_there_is_one_object_for_each_argument():
    of = once(lambda argument: [argument])
    assert of("x") is of("x") is not of("y")
    assert of("y") == ["y"]


def test_what_raised_is_made_again():
    errors = [ValueError("not yet")]

    @once
    def get():
        if errors:
            raise errors.pop()
        return "made"

    with pytest.raises(ValueError, match="not yet"):
        get()
    assert get() == "made"


def test_the_parts_of_a_process_are_the_same_for_all_threads():
    subprocess.run([sys.executable, "-c", ALL_AT_ONCE], check=True)
