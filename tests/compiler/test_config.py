"""Configurations: every setting is in a key unless it says why not, and settings that differ have keys that differ."""

from __future__ import annotations

import dataclasses

import pytest

from smelt.caching import constant_key
from smelt.compiler.config import CompilerConfig, Enters, Target

OTHER_VALUES = {
    "target": Target(cpu="aarch64"),
    "boundscheck": False,
    "fastmath": True,
    "opt_level": 1,
    "debug_level": 1,
    "name": "another",
    "threads_per_threadgroup": (64, 1, 1),
}
OTHER_TARGETS = {
    "name": "other",
    "has_doubles": False,
    "has_recursion": False,
    "has_printing": False,
    "cpu": "x86-64-v3",
    "abi": "windows",
}


@pytest.mark.parametrize("cls", [CompilerConfig, Target])
def test_each_field_says_which_key_it_enters(cls):
    assert [f.name for f in dataclasses.fields(cls) if not isinstance(f.metadata.get("enters"), Enters)] == []


def test_each_field_has_a_row_here():
    assert OTHER_VALUES.keys() == {field.name for field in dataclasses.fields(CompilerConfig)}
    assert OTHER_TARGETS.keys() == {field.name for field in dataclasses.fields(Target)}


@pytest.mark.parametrize("field", OTHER_VALUES)
def test_the_key_of_artifacts_differs_with_each_field(field):
    other = dataclasses.replace(CompilerConfig(), **{field: OTHER_VALUES[field]})
    assert constant_key(other) != constant_key(CompilerConfig())


@pytest.mark.parametrize("field", OTHER_TARGETS)
def test_the_key_of_artifacts_differs_with_each_field_of_the_target(field):
    other = CompilerConfig(target=dataclasses.replace(Target(), **{field: OTHER_TARGETS[field]}))
    assert constant_key(other) != constant_key(CompilerConfig())


@pytest.mark.parametrize(
    "field", ["boundscheck", "fastmath", "opt_level", "debug_level", "name", "threads_per_threadgroup"]
)
def test_configurations_that_infer_alike_have_one_owner(field):
    other = dataclasses.replace(CompilerConfig(), **{field: OTHER_VALUES[field]})
    assert other.owner() == CompilerConfig().owner()


@pytest.mark.parametrize("field", ["name", "has_doubles", "has_recursion", "has_printing"])
def test_targets_that_infer_differently_have_owners_of_their_own(field):
    other = CompilerConfig(target=dataclasses.replace(Target(), **{field: OTHER_TARGETS[field]}))
    assert other.owner() != CompilerConfig().owner()


def test_the_processor_affects_no_inference():
    other = CompilerConfig(target=Target(cpu="aarch64", abi="aapcs64"))
    assert other.owner() == CompilerConfig().owner()


@pytest.mark.parametrize("option", ["boundscheck", "fastmath"])
def test_what_is_on_or_off_is_a_bool(option):
    with pytest.raises(ValueError, match=f"{option} is True or False, not 'yes'"):
        CompilerConfig(**{option: "yes"})


@pytest.mark.parametrize("level", [-1, 4, "3", None])
def test_an_optimisation_level_that_there_is_not_is_refused(level):
    with pytest.raises(ValueError, match="opt_level is 0, 1, 2 or 3"):
        CompilerConfig(opt_level=level)
