# SPDX-License-Identifier: Apache-2.0
"""Everything that smelt raises, as one hierarchy with `SmeltError` at its root.

An error that a user of plain Python would have met as a `TypeError`, `KeyError` or `RuntimeError` is one of those too,
so that code which knows nothing of smelt catches it as it always did.
"""


class SmeltError(Exception):
    """The root of all errors that smelt raises on purpose."""


class SignatureError(SmeltError, TypeError):
    """A signature, or a tuple of argument types, that isn't one."""


class MethodTableError(SmeltError, TypeError):
    """Something that is no method table was used as one, or a method is not in the table it was to be removed from."""


class AmbiguousCallError(SmeltError, TypeError):
    """Several methods match a call and none of them is more specific than all the others."""


class OwnerError(SmeltError, TypeError):
    """An owner that can't partition a cache, since it can't be hashed."""


class ResultsError(SmeltError, TypeError):
    """A results class that is not declared as one, or a value that its field can't hold."""


class EdgeError(SmeltError, ValueError):
    """An edge to something that the code instance can't depend on: of another owner, of another world, not cached."""


class MakerError(SmeltError, TypeError):
    """A maker returned something other than a new code instance of the method instance that it was asked for."""


class CycleError(SmeltError, RuntimeError):
    """Makers wait for each other: what is being made was asked for again by what it is made of."""


class WorldError(SmeltError, RuntimeError):
    """A world that does not exist, or one whose definitions have changed since and can't be compiled any more."""


class OutdatedError(WorldError):
    """What was compiled depends on something that has changed since compiling began.

    A view that follows the current world begins again by itself; one that is frozen at a world can't.
    """


class InstanceError(SmeltError, TypeError):
    """Something that is no method instance was looked up: None, say, which a lookup returns where no method matches."""


class NotCachedError(SmeltError, KeyError):
    """A cache view holds no code instance for this method instance in its world."""

    def __str__(self) -> str:
        # KeyError would show the representation of the message.
        return Exception.__str__(self)


class BindingError(SmeltError, TypeError):
    """A name, attribute or cell whose value can't be depended on, since nothing tells when it changes."""


class SourceError(SmeltError, LookupError):
    """A function without source, or whose source is no longer what the function was made of."""


class FingerprintError(SmeltError, TypeError):
    """Something that has no stable fingerprint."""


class StoreError(SmeltError, OSError):
    """A result store that can't do what it was asked. A cache view warns of it once and goes on without."""


class StoreWarning(UserWarning):
    """A result store failed; what it would have held is made anew."""
