# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201 - a program, which prints
"""A program on a Mac whose Metal is run in software: it launches a kernel of smelt's on the first device."""

import importlib.util
import sys
from pathlib import Path

import numpy as np

import smelt
from smelt.targets.metal.devices.macos import system

specification = importlib.util.spec_from_file_location("objective_c", Path(__file__).with_name("objective_c.py"))
objective_c = importlib.util.module_from_spec(specification)
specification.loader.exec_module(objective_c)
layer = objective_c.Layer()
system.frameworks = layer.frameworks
system.system_version = lambda: system.SystemVersion((26, 0), "25A1")
here, sys.platform = sys.platform, "darwin"
print(*(device.name for device in smelt.devices()))
sys.platform = here


@smelt.kernel
def saxpy(out, a, x, y):
    i = smelt.grid(1)
    if i < out.size:
        out[i] = a * x[i] + y[i]


device = smelt.device("metal:0")
x, y = (smelt.array(np.arange(10, dtype=np.float32), device=device) for _ in range(2))
out = smelt.zeros(10, np.float32, device=device)
saxpy[10](out, 2.0, x, y)
smelt.synchronize()
print(out.numpy().tolist() == (np.arange(10) * 3).tolist(), smelt.stats().compilations)
print(device.archive.hits, device.archive.misses)
