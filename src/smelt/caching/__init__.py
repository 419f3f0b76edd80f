# SPDX-License-Identifier: Apache-2.0
"""The caching core: compile results that hang on the specialisation they belong to.

Whoever writes a compiler in Python brings functions with methods (Python functions, or any objects as their sources), a class for
what compiling produces, and a function that makes it. This package looks calls up, keeps what was made, has it made once, and
invalidates it exactly when something that it depends on changes. It knows no compiler, and imports the standard library only::

    table = MethodTable("my functions")
    add_method(table, "area", (float,), my_ir)                  # any object as source
    view = CacheView("my compiler", MyResults)                  # an owner, and the current world
    instance = method_instance("area", (float,), table=table)
    code = view.get_or_create(instance, make)                   # make(view, instance) runs only on a miss
    view.results(code)                                          # a MyResults

Two parts are imported by themselves where they are needed: `smelt.caching.fingerprints`, stable digests of functions, constants and
types, and `smelt.caching.sources`, the syntax trees of functions.
"""

from smelt.caching.cache import CodeCache, current_world, default_cache
from smelt.caching.code import CodeInstance
from smelt.caching.constants import constant_key, same_constant
from smelt.caching.dispatch import Dispatch
from smelt.caching.edges import (
    Edge,
    Observed,
    Read,
    read_attribute,
    read_cell,
    read_code,
    read_default,
    read_global,
    read_keyword,
)
from smelt.caching.errors import (
    AmbiguousCallError,
    BindingError,
    CycleError,
    EdgeError,
    FingerprintError,
    InstanceError,
    MakerError,
    MethodTableError,
    NotCachedError,
    OutdatedError,
    OwnerError,
    ResultsError,
    SignatureError,
    SmeltError,
    SourceError,
    StoreError,
    StoreWarning,
    WorldError,
)
from smelt.caching.events import Counts, Event, Failed, Loaded, Made, Miss, MissReason
from smelt.caching.function_table import FunctionTable
from smelt.caching.guards import Guard, Word
from smelt.caching.invalidation import Cause, Invalidated, Invalidation
from smelt.caching.linear_cache import LinearCache
from smelt.caching.method_table import MethodTable, add_method, remove_method
from smelt.caching.methods import Method, MethodInstance
from smelt.caching.places import MISSING
from smelt.caching.results import Results, portable, portable_state, restore, session_local
from smelt.caching.signatures import Pattern, Variadic
from smelt.caching.store import ResultStore
from smelt.caching.tables import LookupTable, StackedMethodTable, method_instance
from smelt.caching.views import CacheView
from smelt.caching.worlds import OPEN, World, WorldRange

__all__ = [
    "MISSING",
    "OPEN",
    "AmbiguousCallError",
    "BindingError",
    "CacheView",
    "Cause",
    "CodeCache",
    "CodeInstance",
    "Counts",
    "CycleError",
    "Dispatch",
    "Edge",
    "EdgeError",
    "Event",
    "Failed",
    "FingerprintError",
    "FunctionTable",
    "Guard",
    "InstanceError",
    "Invalidated",
    "Invalidation",
    "LinearCache",
    "Loaded",
    "LookupTable",
    "Made",
    "MakerError",
    "Method",
    "MethodInstance",
    "MethodTable",
    "MethodTableError",
    "Miss",
    "MissReason",
    "NotCachedError",
    "Observed",
    "OutdatedError",
    "OwnerError",
    "Pattern",
    "Read",
    "ResultStore",
    "Results",
    "ResultsError",
    "SignatureError",
    "SmeltError",
    "SourceError",
    "StackedMethodTable",
    "StoreError",
    "StoreWarning",
    "Variadic",
    "Word",
    "World",
    "WorldError",
    "WorldRange",
    "add_method",
    "constant_key",
    "current_world",
    "default_cache",
    "method_instance",
    "portable",
    "portable_state",
    "read_attribute",
    "read_cell",
    "read_code",
    "read_default",
    "read_global",
    "read_keyword",
    "remove_method",
    "restore",
    "same_constant",
    "session_local",
]
