# SPDX-License-Identifier: Apache-2.0
"""Counters that threads share."""

from __future__ import annotations

import sys
import threading

from smelt.caching.counters import Counter


class Slow(int):
    """A number to which nothing is added in one step."""

    def __add__(self, more):
        total = int(self)
        for _ in range(more):
            total += 1
        return Slow(total)


def test_no_thread_s_count_is_lost():
    counter = Counter()
    counter.value = Slow()
    begin = threading.Barrier(4)

    def count():
        begin.wait()
        for _ in range(5000):
            counter.count()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert counter.value == 20000
