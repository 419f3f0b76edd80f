# SPDX-License-Identifier: Apache-2.0
"""How launches of the device in software are waited for: interrupted, stopped, in threads of their own."""

from __future__ import annotations

import threading

import pytest

from smelt.targets.metal.devices.software import running
from smelt.targets.metal.devices.software.running import LaunchStoppedError, run_until_done

pytestmark = pytest.mark.once

LIMIT_SECS = 60


def never():
    raise AssertionError("nothing was to be stopped")


def test_the_tasks_of_a_thread_run_in_one_other_thread_that_ends_with_it():
    workers = []

    def launch():
        for _ in range(3):
            run_until_done(lambda: workers.append(threading.current_thread()), never, None)

    launchers = [threading.Thread(target=launch) for _ in range(2)]
    for one in launchers:
        one.start()
    for one in launchers:
        one.join(LIMIT_SECS)
    assert len(workers) == 6
    assert len(set(workers)) == 2
    for worker in workers:
        worker.join(LIMIT_SECS)
        assert not worker.is_alive()
    launch()
    launch()
    assert len(set(workers)) == 3
    assert workers[-1].is_alive()
    assert workers[-1] is not threading.current_thread()


@pytest.mark.parametrize("is_given", [False, True])
def test_what_is_interrupted_before_it_begins_never_runs(monkeypatch, is_given):
    given, ran = [], []

    class Interrupted:
        def give(self, task):
            if is_given:
                given.append(task)
            raise KeyboardInterrupt

    monkeypatch.setattr(running, "_runner", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_until_done(lambda: ran.append(1), never, None)
    for task in given:
        task()
    assert (len(given), ran) == (is_given, [])


def test_what_is_stopped_is_waited_for_however_often_it_is_interrupted():
    stopped, ended, asked = threading.Event(), [], []

    def task():
        stopped.wait(LIMIT_SECS)
        ended.append(1)

    def stop():
        asked.append(1)
        if len(asked) == 1:
            raise KeyboardInterrupt
        stopped.set()

    with pytest.raises(LaunchStoppedError):
        run_until_done(task, stop, 0.01)
    assert (len(asked), ended) == (2, [1])


def test_a_wait_that_is_interrupted_goes_on():
    class Waited:
        rounds = 0

        def wait(self, _seconds):
            self.rounds += 1
            if self.rounds in (2, 3):
                raise KeyboardInterrupt
            return self.rounds == 5

    done = Waited()
    running._whatever_comes(lambda: running._wait_for(done))
    assert done.rounds == 5
