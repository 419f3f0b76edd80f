# SPDX-License-Identifier: Apache-2.0
"""What `import smelt` costs more than `import numpy`: whole processes, in turn.

    python benchmarks/import_time.py [--quick]

The rows begin where the one above them ends: NumPy alone; with `import smelt`; with the first kernel defined, which imports what a launch
needs; with the caching core alone, without NumPy. Times are those of the processors, of a process and the system for it.

What it does not show: compiling, which imports LLVM; the first start after an installation, when nothing is in the disk cache.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from types import ModuleType

resource: ModuleType | None
try:
    import resource
except ImportError:
    # Windows has none; its clock of processes is coarse.
    resource = None

ROWS = {
    "python": "pass",
    "import numpy": "import numpy",
    "import numpy, smelt": "import numpy, smelt",
    "import numpy, smelt; smelt.kernel": "import numpy, smelt; smelt.kernel",
    "import smelt.caching": "import smelt.caching",
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = 1 if parser.parse_args().quick else 15
    print(f"Python {platform.python_version()}, {platform.machine()}")
    samples: dict[str, list[float]] = {row: [] for row in ROWS}
    for _ in range(rounds):
        for row, program in ROWS.items():
            samples[row].append(processor_ms(program))
    least_numpy, median_numpy = min(samples["import numpy"]), statistics.median(samples["import numpy"])
    print(f"\n  {'':<40} {'ms least':>9} {'ms median':>10} {'over numpy':>22}")
    for row, spent in samples.items():
        least, median = min(spent), statistics.median(spent)
        print(f"  {row:<40} {least:>9.1f} {median:>10.1f} {least - least_numpy:>11.1f} {median - median_numpy:>10.1f}")


def processor_ms(program: str) -> float:
    """The processor time of a Python process that runs a program."""
    before = children_secs()
    subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603 - this Python
    return 1e3 * (children_secs() - before)


def children_secs() -> float:
    """The processor time of all processes that this one has started."""
    if resource is None:
        times = os.times()
        return times.children_user + times.children_system
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(usage.ru_utime + usage.ru_stime)


if __name__ == "__main__":
    main()
