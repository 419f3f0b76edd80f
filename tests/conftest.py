# SPDX-License-Identifier: Apache-2.0
"""What all tests share."""

import os

# Tests count what is compiled: what an earlier run kept must not answer. Those of the store have one each.
os.environ["SMELT_STORE"] = "off"
