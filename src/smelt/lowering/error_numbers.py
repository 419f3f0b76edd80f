# SPDX-License-Identifier: Apache-2.0
"""The numbers of error sites: how a status tells where a thread failed, and by which calls it came there.

Each function numbers the places where it can fail from 1, and behind those that it has so far all places of a function that it calls, for
each call anew. What a call returns is 0 or a number of the called function; to make it one of the caller's takes one addition, and only
where a thread has failed. So the kernel's number stands for a place and for all calls on the way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smelt.compiler.sites import ErrorSite, Place

MOST_SITES = 4096
"""Of one function with all that it calls. Beyond that calls aren't told apart."""


class ErrorNumbers:
    """The error sites of a function; functions that call each other share theirs.

    Attributes
    ----------
    sites
        The sites: that with the number n is `sites[n - 1]`.
    """

    def __init__(self) -> None:
        self.sites: list[ErrorSite] = []
        self._numbers: dict[ErrorSite, int] = {}
        self._before: dict[Any, int] = {}

    def number(self, site: ErrorSite) -> int:
        """The number of a place in the function itself."""
        if site not in self._numbers:
            self.sites.append(site)
            self._numbers[site] = len(self.sites)
        return self._numbers[site]

    def before(self, callee: ErrorNumbers, places: tuple[Place, ...]) -> int:
        """What is added to the status of a function that is called at `places`, innermost first.

        Functions that call each other pass statuses on as they are, so that their calls of each other aren't told.
        """
        if callee is self or not callee.sites:
            return 0
        if len(self.sites) + len(callee.sites) > MOST_SITES:
            places = ()
        if (callee, places) not in self._before:
            self._before[callee, places] = len(self.sites)
            self.sites += (replace(site, places=site.places + places) for site in callee.sites)
        return self._before[callee, places]
