# SPDX-License-Identifier: Apache-2.0
"""Metal targets by name: `metal`, or `metal:macos=14`, with `air=` and `metal=` where those versions are not the system's own.

A system loads AIR up to a version of its own, and each version of the Metal language needs one of AIR. What is compiled for an older
system runs on newer ones, so the oldest that smelt knows is the default, on every machine.

Source of the versions: Metal.jl (https://github.com/JuliaGPU/Metal.jl), and libraries by Apple's tools.
"""

from __future__ import annotations

from smelt.compiler.config import Target
from smelt.records import Record
from smelt.targets.metal.metallib import Version

_SYSTEMS = {
    14: (Version(2, 6), Version(3, 1)),
    15: (Version(2, 7), Version(3, 2)),
    26: (Version(2, 8), Version(4, 0)),
    27: (Version(2, 9), Version(4, 1)),
}
"""The newest AIR and the newest language that a major version of macOS has."""

_FLOORS = {language: air for air, language in _SYSTEMS.values()}
"""The oldest AIR that a version of the language can be written in."""


class MetalCompilerTarget(Record):
    """What AIR is generated for; as text it is as in a target's `cpu`.

    Attributes
    ----------
    macos
        The oldest system that it is for.
    air, metal
        The versions of AIR and of the Metal language.
    """

    macos: Version
    air: Version
    metal: Version

    def __str__(self) -> str:
        return f"macos={_short(self.macos)},air={_short(self.air)},metal={_short(self.metal)}"

    @property
    def triple(self) -> str:
        """LLVM's name of it: Apple's tools hold the version of AIR in it against that in the module."""
        return f"air64_v{self.air.major}{self.air.minor}-apple-macosx{self.macos.major}.{self.macos.minor}.{self.macos.patch}"


def metal_target(
    macos: str | float | Version | None = None,
    air: str | float | Version | None = None,
    metal: str | float | Version | None = None,
) -> Target:
    """The target of these versions: numbers, or texts like `14.2`. Raises `ValueError` where they don't go together."""
    system = Version(min(_SYSTEMS), 0) if macos is None else _version("macos", macos)
    if system.major not in _SYSTEMS:
        known = ", ".join(map(str, _SYSTEMS))
        raise ValueError(f"smelt compiles for macOS {known}, not for macOS {_short(system)}")
    newest_air, newest_language = _SYSTEMS[system.major]
    # An older language is written in an older AIR only where that is asked for.
    language = newest_language if metal is None else _version("metal", metal)
    if language not in _FLOORS:
        raise ValueError(f"smelt knows Metal {_listed(_FLOORS)}, not Metal {_short(language)}")
    floor = _FLOORS[language]
    chosen = max(floor, newest_air) if air is None else _version("air", air)
    versions = [known for known, _ in _SYSTEMS.values()]
    if chosen not in versions:
        raise ValueError(f"smelt writes AIR {_listed(versions)}, not AIR {_short(chosen)}")
    if chosen < floor:
        raise ValueError(f"Metal {_short(language)} needs AIR {_short(floor)} at least, not AIR {_short(chosen)}")
    if chosen > newest_air:
        first = next(major for major, (known, _) in _SYSTEMS.items() if known >= chosen)
        raise ValueError(
            f"macOS {_short(system)} loads AIR up to {_short(newest_air)}, not AIR {_short(chosen)}, which Metal {_short(language)} "
            f"needs: give macos={first}"
            if air is None
            else f"macOS {_short(system)} loads AIR up to {_short(newest_air)}, not AIR {_short(chosen)}: give macos={first}"
        )
    return Target(
        name="metal",
        has_doubles=False,
        has_recursion=False,
        cpu=str(MetalCompilerTarget(system, chosen, language)),
        abi="air",
    )


def metal_target_named(text: str) -> Target:
    """The target of that name: `metal`, or `metal:` and versions as in `metal:macos=15,metal=3.1`.

    Raises `ValueError` if there is no such target.
    """
    name, _, rest = text.partition(":")
    given: dict[str, str] = {}
    for part in rest.split(",") if rest else ():
        key, is_given, value = part.partition("=")
        if key not in ("macos", "air", "metal") or not is_given or key in given:
            raise ValueError(f"there is no target {text!r}; write metal:macos=14, with air= and metal= if need be")
        given[key] = value
    if name != "metal":
        raise ValueError(f"{text!r} is no target of Metal's; write metal, or metal:macos=14")
    return metal_target(**given)


def metal_versions(target: Target) -> MetalCompilerTarget:
    """The versions of a target that `metal_target` made."""
    parts = dict(part.split("=") for part in target.cpu.split(","))
    return MetalCompilerTarget(*(_version(name, parts[name]) for name in ("macos", "air", "metal")))


def _version(name: str, given: str | float | Version) -> Version:
    if isinstance(given, Version):
        return given
    parts = str(given).split(".")
    if len(parts) > 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"{name}= is a version like 14 or 14.2, not {given!r}")
    numbers = [*map(int, parts), 0, 0][:3]
    return Version(*numbers)


def _short(version: Version) -> str:
    return str(version).removesuffix(".0")


def _listed(versions: object) -> str:
    return ", ".join(map(_short, versions))  # type: ignore[call-overload]
