# SPDX-License-Identifier: Apache-2.0
"""Fork: whatever the other threads were doing, the child can look up, define and make, and the parent is unharmed.

Each program forks in a process of its own and exits with 0 if both halves found what they expected.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

import smelt

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no os.fork")

PRELUDE = """
import faulthandler, os, signal, sys, threading, types
from smelt.caching import *
from smelt.caching.locking import exclusively, tidy_up

LIMIT_SECS = 60
# A deadlock ends the process, with a traceback.
faulthandler.register(signal.SIGALRM, all_threads=True, chain=True)
signal.alarm(LIMIT_SECS)

class Kept(Results):
    value: object = session_local()
    handles: LinearCache = session_local(factory=LinearCache)

cache = CodeCache()
table = MethodTable("functions", cache=cache)
view = CacheView("tests", Kept, cache=cache)

def define(name, source="the source"):
    add_method(table, name, (), source)
    return table.method_instance(name, ())

def make(view, instance):
    code = view.code_instance(instance)
    view.results(code).value = instance.source
    return code

def value(instance):
    return view.results(view.get_or_create(instance, make)).value

settings = types.ModuleType("settings")
exec("X = 1\\ndef function(): return X", vars(settings))

def make_from_global(view, instance):
    observed = read_global(settings.function, "X")
    code = view.code_instance(instance, edges=observed.edges)
    view.results(code).value = observed.value
    return code

def value_of_global(instance):
    return view.results(view.get_or_create(instance, make_from_global)).value

def check_all_works():
    renewed = define("defined after the fork")
    assert value(renewed) == "the source"
    assert renewed in view
    define("defined after the fork", "another source")
    assert renewed not in view
    reader = define("reader")
    assert value_of_global(reader) == settings.X
    settings.X += 1
    assert reader not in view
    assert value_of_global(reader) == settings.X
    assert int(view.frozen().world) == cache.world_number
    cache.check_invariants()

def fork(in_child):
    child = os.fork()
    if child == 0:
        # A child has no alarm of its parent's.
        signal.alarm(LIMIT_SECS)
        status = 1
        try:
            in_child()
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return child

def wait_for(child):
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
"""


def run(program: str) -> None:
    done = subprocess.run(
        # Python 3.12 warns of every fork of a process with threads; that is what this is about.
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", PRELUDE + textwrap.dedent(program)],
        env={"PYTHONPATH": str(pathlib.Path(smelt.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_child_has_the_code_of_its_parent_and_a_life_of_its_own():
    run("""
        instance, reader = define("function"), define("reader of X")
        code = view.get_or_create(instance, make)
        assert value_of_global(reader) == 1

        def in_child():
            assert view[instance] is code
            assert value_of_global(reader) == 1
            settings.X = 5
            assert reader not in view
            check_all_works()

        wait_for(fork(in_child))
        assert value_of_global(reader) == 1
        assert view[instance] is code
        check_all_works()
        print("done")
    """)


def test_a_fork_while_another_thread_is_making_a_job():
    run("""
        instance, other = define("function"), define("other")
        has_begun, may_end = threading.Event(), threading.Event()

        def make_slowly(view, instance):
            has_begun.set()
            assert may_end.wait(LIMIT_SECS)
            return make(view, instance)

        made = []
        thread = threading.Thread(target=lambda: made.append(view.get_or_create(instance, make_slowly)))
        thread.start()
        assert has_begun.wait(LIMIT_SECS)

        def in_child():
            assert instance not in view
            assert value(other) == "the source"
            # The job that nobody is making here any more.
            assert value(instance) == "the source"
            assert cache.counts.made == 2
            assert not cache.flights._by_key
            check_all_works()

        child = fork(in_child)
        wait_for(child)
        assert instance not in view
        may_end.set()
        thread.join(LIMIT_SECS)
        assert made == [view[instance]]
        assert cache.counts.made == 1
        check_all_works()
        print("done")
    """)


def test_a_fork_while_another_thread_waits_for_what_the_forking_one_makes():
    run("""
        instance = define("function")
        results = []

        def waiter():
            results.append(view.get_or_create(instance, make))

        def make_and_fork(view, instance):
            thread.start()
            while not cache.flights._waiting:
                pass

            def in_child():
                assert not cache.flights._waiting
                assert len(cache.flights._by_key) == 1
                try:
                    view.get_or_create(instance, make)
                except CycleError:
                    pass
                else:
                    raise AssertionError("this thread is making it, in the child too")
                check_all_works()

            wait_for(fork(in_child))
            return make(view, instance)

        thread = threading.Thread(target=waiter)
        code = view.get_or_create(instance, make_and_fork)
        thread.join(LIMIT_SECS)
        assert results == [code]
        check_all_works()
        print("done")
    """)


def test_a_maker_that_forks_is_ended_by_both():
    run("""
        instance = define("function")

        def make_and_fork(view, instance):
            child[:] = [os.fork()]
            return make(view, instance)

        child = []
        code = view.get_or_create(instance, make_and_fork)
        assert view[instance] is code
        assert not cache.flights._by_key
        check_all_works()
        if child == [0]:
            os._exit(0)
        wait_for(child[0])
        print("done")
    """)


def test_a_fork_while_another_thread_holds_the_lock_waits_for_what_that_one_changes():
    run("""
        instance = define("function")
        assert value(instance) == "the source"
        has_entered = threading.Event()
        steps = []

        def change():
            with exclusively():
                steps.append("begun")
                has_entered.set()
                # As long as it takes for the other thread to arrive at the fork; it can't pass.
                for _ in range(100_000):
                    pass
                steps.append("ended")

        thread = threading.Thread(target=change)
        thread.start()
        assert has_entered.wait(LIMIT_SECS)

        def in_child():
            assert steps == ["begun", "ended"], steps
            with exclusively():
                pass
            assert value(instance) == "the source"
            check_all_works()

        wait_for(fork(in_child))
        thread.join(LIMIT_SECS)
        check_all_works()
        print("done")
    """)


def test_a_fork_inside_a_locked_section_of_the_same_thread():
    run("""
        with exclusively():
            def in_child():
                ended = []
                tidy_up(lambda: ended.append(1))
                check_all_works()
            child = fork(in_child)
        wait_for(child)
        check_all_works()
        print("done")
    """)


def test_forks_while_threads_define_look_up_and_rebind():
    run("""
        sys.setswitchinterval(1e-5)
        end = threading.Event()
        names = [define(f"function {number}") for number in range(4)]
        reader = define("reader of X")

        def busy():
            number = 0
            while not end.is_set():
                number += 1
                define(f"function {number % 4}", number)
                value(table.method_instance(f"function {number % 4}", ()))
                settings.X = number
                value_of_global(reader)

        def swallow_races():
            # What was looked up may have been redefined by the other thread before it was asked for.
            while not end.is_set():
                try:
                    busy()
                except EdgeError:
                    pass

        threads = [threading.Thread(target=swallow_races) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(15):
            wait_for(fork(check_all_works))
        end.set()
        for thread in threads:
            thread.join(LIMIT_SECS)
        check_all_works()
        print("done")
    """)


def test_a_linear_cache_across_a_fork():
    run("""
        handles, device, other = LinearCache(), object(), object()
        handles.get_or_create(other, lambda device: "the handle of the parent")
        has_begun, may_end = threading.Event(), threading.Event()

        def link_slowly(device):
            has_begun.set()
            assert may_end.wait(LIMIT_SECS)
            return "linked by the thread"

        thread = threading.Thread(target=lambda: handles.get_or_create(device, link_slowly))
        thread.start()
        assert has_begun.wait(LIMIT_SECS)

        def in_child():
            # The thread that holds the lock of the handles is not here.
            assert handles.get(device) is None
            assert handles.get_or_create(device, lambda device: "linked by the child") == "linked by the child"
            assert handles.get(other) == "the handle of the parent"
            handles.discard(other)
            fresh = LinearCache()
            assert fresh.get_or_create(device, lambda device: 7) == 7

        wait_for(fork(in_child))
        assert len(handles) == 1
        may_end.set()
        thread.join(LIMIT_SECS)
        assert handles.get(device) == "linked by the thread"
        assert handles.get(other) == "the handle of the parent"
        print("done")
    """)


def test_a_fork_inside_of_linking():
    run("""
        handles, device = LinearCache(), object()
        child = []

        def link_and_fork(device):
            child.append(os.fork())
            return f"linked, {'child' if child == [0] else 'parent'}"

        handle = handles.get_or_create(device, link_and_fork)
        assert handles.get(device) is handle
        handles.clear()
        assert handles.get_or_create(device, lambda device: "again") == "again"
        if child == [0]:
            assert handle == "linked, child"
            os._exit(0)
        assert handle == "linked, parent"
        wait_for(child[0])
        print("done")
    """)


def test_a_lock_that_is_held_over_forks_is_free_in_the_child():
    run("""
        from smelt.caching.locking import hold_over_forks

        lock, ended, begun = threading.RLock(), threading.Event(), threading.Event()
        hold_over_forks(lock)

        def hold_it_nearly_always():
            while not ended.is_set():
                with lock:
                    begun.set()
                    for _ in range(1000):
                        pass

        thread = threading.Thread(target=hold_it_nearly_always)
        thread.start()
        assert begun.wait(LIMIT_SECS)

        def in_child():
            assert lock.acquire(timeout=5)

        for _ in range(5):
            wait_for(fork(in_child))
        ended.set()
        thread.join()
        assert lock.acquire(blocking=False)
        print("done")
    """)
