# SPDX-License-Identifier: Apache-2.0
"""Sums of multiples: what is known of an integer in terms of the thread's position and of values that a row of threads has in common."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

POSITION = "x"
"""The term that is the thread's position on the axis on which threads follow each other. All others are the same for all of them."""

_MOST_TERMS = 6
_MOST_FACTOR = 1 << 10
_MOST_CONSTANT = 1 << 44


@dataclass(frozen=True, slots=True)
class Linear:
    """`constant` and the sum of each term, by its name, times its factor. Terms are in the order of their names."""

    terms: tuple[tuple[str, int], ...] = ()
    constant: int = 0

    def factor(self, name: str) -> int:
        """The factor of a term, 0 if it isn't there."""
        return next((factor for term, factor in self.terms if term == name), 0)

    def plus(self, other: Linear, times: int = 1) -> Linear:
        """The sum with `times` the other."""
        if not other.terms:
            return Linear(self.terms, self.constant + times * other.constant)
        factors = dict(self.terms)
        for term, factor in other.terms:
            factors[term] = factors.get(term, 0) + times * factor
        terms = tuple(sorted((term, factor) for term, factor in factors.items() if factor))
        return Linear(terms, self.constant + times * other.constant)

    def minus(self, other: Linear) -> Linear:
        return self.plus(other, -1)

    def moved(self, distance: int) -> Linear:
        """The sum with a constant."""
        return Linear(self.terms, self.constant + distance)

    def times(self, number: int) -> Linear:
        return Linear().plus(self, number)

    @property
    def is_constant(self) -> bool:
        return not self.terms

    @property
    def is_small(self) -> bool:
        """Whether it can be computed with 64 bits, given that each term has at most 45."""
        return (
            len(self.terms) <= _MOST_TERMS
            and abs(self.constant) <= _MOST_CONSTANT
            and all(abs(factor) <= _MOST_FACTOR for _, factor in self.terms)
        )


def number(value: int) -> Linear:
    """A constant."""
    return Linear((), value)


def term(name: str) -> Linear:
    """One term."""
    return Linear(((name, 1),))


@dataclass(frozen=True, slots=True)
class Bound:
    """What an integer is at least, or at most, if all of `needs` are at least 0."""

    linear: Linear
    needs: frozenset[Linear] = frozenset()


class Signs:
    """Which terms are known not to be negative, and the most that some of those are."""

    def __init__(self) -> None:
        self._terms: dict[str, int | None] = {POSITION: None}

    def add(self, name: str, most: int | None = None) -> None:
        """Take note that a term is not negative, and the most that it is."""
        self._terms[name] = most

    def surely(self, linear: Linear) -> bool:
        """Whether `linear` is at least 0, whatever its terms are."""
        least = self.lowered(linear)
        return least.constant >= 0 and all(factor > 0 and name in self._terms for name, factor in least.terms)

    def never(self, linear: Linear) -> bool:
        """Whether `linear` is negative, whatever its terms are."""
        most = self.lowered(linear.times(-1))
        return most.constant > 0 and all(factor > 0 and name in self._terms for name, factor in most.terms)

    def lowered(self, linear: Linear) -> Linear:
        """What `linear` is at least: without the terms of which it is known how large they can be."""
        constant, terms = linear.constant, []
        for name, factor in linear.terms:
            most = self._terms.get(name)
            if most is None:
                terms.append((name, factor))
            elif factor < 0:
                constant += factor * most
        return Linear(tuple(terms), constant)

    def open(self, needs: Iterable[Linear]) -> frozenset[Linear] | None:
        """Those of `needs` that have to be looked at when the kernel runs; None if they can't all hold."""
        remaining = frozenset(need for need in needs if not self.surely(need))
        if any(self.never(need) or not need.is_small for need in remaining):
            return None
        return remaining


def least_demanding(candidates: Iterable[frozenset[Linear]], varying: Container[str]) -> frozenset[Linear] | None:
    """Of several sets of needs the one that asks least, and of those the first; None if there is none.

    What is the same for all threads of a row costs nothing where it holds, so it is asked for first, and then what is the same for all
    rows: `varying` are the terms that aren't.
    """

    def demand(needs: frozenset[Linear]) -> tuple[int, ...]:
        of_threads = sum(need.factor(POSITION) != 0 for need in needs)
        return of_threads, len(needs), sum(any(name in varying for name, _ in need.terms) for need in needs)

    return min(candidates, key=demand, default=None)
