# SPDX-License-Identifier: Apache-2.0
"""What all tests share.

With `SMELT_DEVICE=metal:software` the kernels of the tests run on that device: `tests/language`, `tests/arrays` and `tests/threadgroups`, say,
which were written for the processor. A test whose program has types that Metal has not is skipped then.
"""

import os
import re

import pytest

# Tests count what is compiled: what an earlier run kept must not answer. Those of the store have one each.
os.environ["SMELT_STORE"] = "off"

_NOT_ON_METAL = re.compile(r"Metal has (no|not|atomic operations on)\b|which Metal has not|calls itself")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Skip what Metal's types don't allow, where tests run on a Metal device."""
    report = yield
    error = call.excinfo.value if call.excinfo is not None else None
    if os.environ.get("SMELT_DEVICE") and type(error).__name__ == "KernelError" and _NOT_ON_METAL.search(str(error)):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1], str(error).splitlines()[0])
    return report
