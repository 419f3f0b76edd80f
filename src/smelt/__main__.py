# SPDX-License-Identifier: Apache-2.0
"""`python -m smelt` is the command `smelt`."""

import sys

from smelt.cli import main

if __name__ == "__main__":
    sys.exit(main())
