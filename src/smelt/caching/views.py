# SPDX-License-Identifier: Apache-2.0
"""Cache views: an owner and a world, the way into the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar, overload

from smelt.caching.cache import CodeCache, default_cache
from smelt.caching.code import CodeInstance, Owner
from smelt.caching.edges import Edge
from smelt.caching.errors import EdgeError, InstanceError, NotCachedError
from smelt.caching.guards import Pending
from smelt.caching.locking import exclusively
from smelt.caching.making import get_or_make, save, source_edges
from smelt.caching.methods import MethodInstance
from smelt.caching.publishing import publish
from smelt.caching.results import Results, check_results_class
from smelt.caching.store import ResultStore
from smelt.caching.worlds import OPEN, World

R = TypeVar("R", bound=Results)
S = TypeVar("S", bound=Results)
D = TypeVar("D")


class CacheView(Generic[R]):
    """The code of one owner, seen from one world.

    Without `world` the view is live: it follows the current world, and what it returns is right now. With `world`, or made by
    `frozen()`, it sees what was valid in that world, however much is redefined later.

    Works like a mapping from method instances to code instances: `get`, `[]`, `in`, and `view[instance] = code`.

    Parameters
    ----------
    owner
        Who the code belongs to: any hashable token. Views share code exactly if their owners are the same constant (1, 1.0 and
        True are three). A tuple shards: `("my compiler", opt_level)`. Everything that affects what is inferred belongs in it.
    results_class
        The class of the results that `results` returns and that new code instances get.
    world
        The world to freeze the view at.
    cache
        The code cache, by default the process's.
    store
        Where to look for results that an earlier process made, before anything is made.

    Raises
    ------
    OwnerError
        If `owner` can't be hashed.
    ResultsError
        If `results_class` is no results class.
    WorldError
        If `world` is gone or not there yet.
    """

    __slots__ = ("_world", "cache", "owner_object", "results_class", "store")

    def __init__(
        self,
        owner: object,
        results_class: type[R],
        *,
        world: World | int | None = None,
        cache: CodeCache | None = None,
        store: ResultStore | None = None,
    ) -> None:
        check_results_class(results_class)
        self.cache = cache if cache is not None else default_cache()
        self.owner_object: Owner = owner if isinstance(owner, Owner) else self.cache.owner(owner)
        self.results_class = results_class
        self.store = store
        self._world = None if world is None else self.cache.hold_world(world)

    @property
    def owner(self) -> object:
        """The owner's token."""
        return self.owner_object.token

    @property
    def is_live(self) -> bool:
        """Whether the view follows the current world."""
        return self._world is None

    @property
    def world(self) -> World:
        """The world that the view is frozen at; of a live view the current one, in which all changes so far are noticed."""
        return self._world if self._world is not None else self.cache.world()

    def frozen(self) -> CacheView[R]:
        """This view, frozen at the world that it sees now. A frozen view returns itself."""
        if self._world is not None:
            return self
        return CacheView(
            self.owner_object, self.results_class, world=self.cache.world(), cache=self.cache, store=self.store
        )

    def with_results(self, results_class: type[S]) -> CacheView[S]:
        """A view of the same code that gives results of another class."""
        return CacheView(self.owner_object, results_class, world=self._world, cache=self.cache, store=self.store)

    @overload
    def get(self, instance: MethodInstance) -> CodeInstance | None: ...
    @overload
    def get(self, instance: MethodInstance, default: D) -> CodeInstance | D: ...
    def get(self, instance: MethodInstance, default: Any = None) -> Any:
        """The code of `instance` that is valid in the view's world, or `default`. Nothing is made.

        Raises `InstanceError` if `instance` is no method instance.
        """
        # The hot path: no lock, no allocation, no hashing of anything but the owner's address.
        try:
            code = instance._code[self.owner_object]
        except KeyError:
            return default
        except AttributeError:
            raise _not_an_instance(instance) from None
        if self._world is None:
            # The guard of code that has ended never holds.
            guard = code.guard
            # It also holds once another thread has settled what had moved; then the code has another guard by now.
            if guard is None or (guard.holds() and code.guard is guard) or self._settle(code):
                return code
            return default
        return self._get_in_world(code, default)

    def __getitem__(self, instance: MethodInstance) -> CodeInstance:
        """As `get`, but raises `NotCachedError`, a `KeyError`, if there is no code."""
        code = self.get(instance)
        if code is None:
            raise NotCachedError(f"{instance} has no code for {self.owner!r} in world {self.world}")
        return code

    def __contains__(self, instance: MethodInstance) -> bool:
        return self.get(instance) is not None

    def __setitem__(self, instance: MethodInstance, code: Any) -> None:
        """Put `code`, made by `code_instance`, into the cache; code that it replaces is invalidated.

        Raises
        ------
        InstanceError
            If `code` is no code instance, not one for this instance and owner, or one that has been invalidated.
        EdgeError
            If an edge is none, or is to something of another cache, owner or world.
        OutdatedError
            If something that was read for it has changed since.
        """
        if not (isinstance(code, CodeInstance) and code.instance is instance and code._owner is self.owner_object):
            raise InstanceError(f"{code!r} is no code of {instance} for {self.owner!r}")
        if instance.method.cache is not self.cache:
            raise _of_another_cache(instance)
        world = int(self.world)
        if code._dependent is not None and world not in code.world_range:
            raise InstanceError(f"{code!r} was in the cache already and is valid no longer; make a new one")
        publish(code, world)

    def get_or_create(
        self, instance: MethodInstance, make: Callable[[CacheView[R], MethodInstance], CodeInstance]
    ) -> CodeInstance:
        """The code of `instance`; where there is none, what the store or else `make` gives, once however many threads ask.

        `make(view, instance)` is called with this view frozen at one world, so that everything that it looks up belongs
        together. It returns `view.code_instance(instance, edges=...)` and may ask the view for other instances. What it raises
        is raised here, and to all threads that wait for the same; it leaves nothing behind, and the next call tries again. If
        something that it read changes before it has returned, a live view has it made again.

        Raises
        ------
        InstanceError
            If `instance` is no method instance of this view's cache.
        MakerError
            If `make` returns something else.
        CycleError
            If makers wait for each other in a circle.
        EdgeError
            If an edge is none, or is to something of another cache, owner or world.
        OutdatedError
            In a frozen view, if something that `make` read has changed.
        """
        code = self.get(instance)
        if code is not None:
            return code
        if instance.method.cache is not self.cache:
            raise _of_another_cache(instance)
        return get_or_make(self, instance, make)

    def code_instance(self, instance: MethodInstance, edges: Iterable[Edge] = ()) -> CodeInstance:
        """A new code instance of `instance` for the view's owner, with empty results, that depends on `edges`.

        It comes into the cache by being returned from a maker or by `view[instance] = code`. Code made from a Python function
        depends on the function's code object without an edge being given.

        Raises `InstanceError` if `instance` is no method instance, and `EdgeError` if `edges` can't be looped over.
        """
        if not isinstance(instance, MethodInstance):
            raise _not_an_instance(instance)
        if not isinstance(edges, Iterable):
            raise EdgeError(f"the edges of {instance} are a list or tuple of edges, not {edges!r}")
        code = CodeInstance(instance, self.owner_object, (*source_edges(instance), *edges))
        code.attach(self.results_class())
        return code

    def results(self, code: CodeInstance) -> R:
        """The results, of the view's results class, that hang on `code`."""
        try:
            found: R = code._attached[self.results_class]
        except KeyError:
            return code.results(self.results_class)
        return found

    def save(self, code: CodeInstance) -> None:
        """Hand `code` to the store again, after results were added to it."""
        save(self, code)

    def __repr__(self) -> str:
        where = "live" if self._world is None else f"frozen at world {self._world}"
        return f"<view of the code of {self.owner!r}, {where}>"

    def _settle(self, code: CodeInstance) -> bool:
        """Something that `code` may depend on has moved: find out what, and return whether `code` is still valid."""
        with exclusively():
            if code.guard is not None:
                code.guard.settle()
            if isinstance(code.guard, Pending):
                return code.guard.is_visible_in(self.cache.world_number)
            return code.max_world == OPEN

    def _get_in_world(self, code: CodeInstance | None, default: Any) -> Any:
        assert self._world is not None
        number = self._world.number
        while code is not None:
            if code.min_world <= number <= code.max_world:
                guard = code.guard
                if not isinstance(guard, Pending) or guard.is_visible_in(number):
                    return code
            code = code._older
        return default


def _not_an_instance(instance: object) -> InstanceError:
    if instance is None:
        return InstanceError("None is no method instance: no method matched the call that was looked up")
    return InstanceError(f"{instance!r} is no method instance; method_instance(function, types, table=...) finds one")


def _of_another_cache(instance: MethodInstance) -> InstanceError:
    return InstanceError(f"{instance} is defined in another code cache than that of the view")
