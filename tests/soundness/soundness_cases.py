# SPDX-License-Identifier: Apache-2.0
"""Small programs, changes to them, and whether what was compiled must be compiled again.

Each program is a package. Its `main.py` has a function `compute(x)`, which its kernel runs for each element; what plain Python makes of
`compute` is what the kernel has to give. A change is a replacement in one of the files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KERNEL = """

import smelt

@smelt.kernel
def kernel(out, x):
    i = smelt.grid(1)
    out[i] = compute(x[i])
"""

AGAIN, NOT_AGAIN = "is compiled again", "is not compiled again"


@dataclass(frozen=True)
class Case:
    """One program and one change.

    Attributes
    ----------
    name
        What is changed.
    files
        The files of the package; the kernel is put at the end of `main.py`.
    edits
        For each file, replacements of text.
    expected
        What must follow.
    in_process
        Whether the change can be made by reloading the modules that changed, and `main` after them.
    """

    name: str
    files: dict[str, str]
    edits: dict[str, tuple[str, str]]
    expected: str
    in_process: bool = True
    environment: dict[str, str] = field(default_factory=dict)


CASES: list[Case] = []


def case(name: str, text: str | dict[str, str], edits: Any, expected: str, **options: Any) -> None:
    """Add a case; a text is that of `main.py`, and a pair an edit of it."""
    files = {"main.py": text} if isinstance(text, str) else text
    edits = {"main.py": edits} if isinstance(edits, tuple) else edits
    files = {"__init__.py": "", **files}
    files["main.py"] += KERNEL if "@smelt.kernel" not in files["main.py"] else ""
    for path, (old, _) in edits.items():
        assert old in files[path], (name, path, old)
    CASES.append(Case(name, files, edits, expected, **options))


# What must be compiled again: code

HELPER = "def helper(x):\n    return x + 1.0\n"
EDIT = ("x + 1.0", "x + 2.0")

case("its own body", "def compute(x):\n    return x + 1.0\n", EDIT, AGAIN)
case("a callee in the same file", HELPER + "def compute(x):\n    return helper(x)\n", EDIT, AGAIN)
case(
    "a callee in another module",
    {"helpers.py": HELPER, "main.py": "from . import helpers\ndef compute(x):\n    return helpers.helper(x)\n"},
    {"helpers.py": EDIT},
    AGAIN,
)
case(
    "a callee that was imported by name",
    {"helpers.py": HELPER, "main.py": "from .helpers import helper as h\ndef compute(x):\n    return h(x)\n"},
    {"helpers.py": EDIT},
    AGAIN,
)
case(
    "a callee three modules away",
    {
        "c.py": HELPER,
        "b.py": "from . import c\ndef through(x):\n    return c.helper(x) * 2.0\n",
        "a.py": "from . import b\ndef further(x):\n    return b.through(x) + 3.0\n",
        "main.py": "from . import a\ndef compute(x):\n    return a.further(x)\n",
    },
    {"c.py": EDIT},
    AGAIN,
)
case(
    "a callee in the package's __init__",
    {"__init__.py": HELPER, "main.py": "from . import helper\ndef compute(x):\n    return helper(x)\n"},
    {"__init__.py": EDIT},
    AGAIN,
)
case(
    "a callee behind an alias",
    HELPER + "alias = helper\ndef compute(x):\n    return alias(x)\n",
    EDIT,
    AGAIN,
)
case(
    "an alias that means another function",
    HELPER + "def other(x):\n    return x * 3.0\nalias = helper\ndef compute(x):\n    return alias(x)\n",
    ("alias = helper", "alias = other"),
    AGAIN,
)
case(
    "a static method of a class",
    "class Tools:\n    @staticmethod\n    def helper(x):\n        return x + 1.0\n"
    "def compute(x):\n    return Tools.helper(x)\n",
    EDIT,
    AGAIN,
)
case(
    "a static method of a base class",
    "class Base:\n    @staticmethod\n    def helper(x):\n        return x + 1.0\nclass Tools(Base):\n    pass\n"
    "def compute(x):\n    return Tools.helper(x)\n",
    EDIT,
    AGAIN,
)
case(
    "a class that overrides what its base has",
    "class Base:\n    factor = 2.0\nclass Tools(Base):\n    pass\ndef compute(x):\n    return x * Tools.factor\n",
    ("class Tools(Base):\n    pass", "class Tools(Base):\n    factor = 3.0"),
    AGAIN,
)
case(
    "a function that a closure captured",
    "def make(f):\n    def inner(x):\n        return f(x) * 2.0\n    return inner\n"
    + HELPER
    + "compute = make(helper)\n",
    EDIT,
    AGAIN,
)
case(
    "a factory called with another value",
    "def make(a):\n    def inner(x):\n        return x * a\n    return inner\ncompute = make(2.0)\n",
    ("make(2.0)", "make(3.0)"),
    AGAIN,
)
case(
    "a captured variable that another function changed",
    "def make(a):\n    def inner(x):\n        return x * a\n    def change(b):\n        nonlocal a\n        a = b\n"
    "    return inner, change\ncompute, change = make(2.0)\nchange(2.0)\n",
    ("change(2.0)\n", "change(5.0)\n"),
    AGAIN,
)
case(
    "a default",
    "def helper(x, a=2.0):\n    return x * a\ndef compute(x):\n    return helper(x)\n",
    ("a=2.0", "a=3.0"),
    AGAIN,
)
case(
    "a keyword default",
    "def helper(x, *, a=2.0):\n    return x * a\ndef compute(x):\n    return helper(x)\n",
    ("a=2.0", "a=3.0"),
    AGAIN,
)
case(
    "__defaults__",
    "def helper(x, a=2.0):\n    return x * a\nhelper.__defaults__ = (4.0,)\ndef compute(x):\n    return helper(x)\n",
    ("(4.0,)", "(5.0,)"),
    AGAIN,
)
case(
    "__code__",
    HELPER + "def other(x):\n    return x * 7.0\nFLAG = False\nif FLAG:\n    helper.__code__ = other.__code__\n"
    "def compute(x):\n    return helper(x)\n",
    ("FLAG = False", "FLAG = True"),
    AGAIN,
)
case("a lambda", "helper = lambda x: x + 1.0\ndef compute(x):\n    return helper(x)\n", EDIT, AGAIN)
case(
    "one of two lambdas on a line",
    "f, g = lambda x: x + 1.0, lambda x: x + 1.5\ndef compute(x):\n    return f(x) * g(x)\n",
    ("x + 1.5", "x + 2.5"),
    AGAIN,
)
case(
    "two lambdas that change places",
    "f, g = lambda x: x + 1.0, lambda x: x * 1.5\ndef compute(x):\n    return f(x) - g(x)\n",
    ("f, g =", "g, f ="),
    AGAIN,
)
case(
    "a decorator's wrapper",
    "import functools\ndef twice(f):\n    @functools.wraps(f)\n    def wrapper(x):\n        return f(x) * 2.0\n    return wrapper\n"
    "@twice\ndef helper(x):\n    return x + 1.0\ndef compute(x):\n    return helper(x)\n",
    ("f(x) * 2.0", "f(x) * 4.0"),
    AGAIN,
)
case(
    "what a decorator wrapped",
    "import functools\ndef twice(f):\n    @functools.wraps(f)\n    def wrapper(x):\n        return f(x) * 2.0\n    return wrapper\n"
    "@twice\ndef helper(x):\n    return x + 1.0\ndef compute(x):\n    return helper(x)\n",
    EDIT,
    AGAIN,
)
case(
    "a function that is an argument",
    "def apply(f, x):\n    return f(x)\n" + HELPER + "def compute(x):\n    return apply(helper, x)\n",
    EDIT,
    AGAIN,
)
case(
    "which function is an argument",
    "def apply(f, x):\n    return f(x)\n"
    + HELPER
    + "def other(x):\n    return x * 9.0\ndef compute(x):\n    return apply(helper, x)\n",
    ("apply(helper, x)", "apply(other, x)"),
    AGAIN,
)
PARTIAL = (
    "from functools import partial\ndef affine(x, a, b=1.0, *, c=1.0):\n    return x * a + b * c\n"
    "scaled = partial(affine, a=2.0, c=3.0)\ndef compute(x):\n    return scaled(x)\n"
)
case("the function that a partial binds", PARTIAL, ("x * a", "x - a"), AGAIN)
case("a keyword that a partial binds", PARTIAL, ("a=2.0", "a=4.0"), AGAIN)
case("a keyword more that a partial binds", PARTIAL, ("a=2.0", "a=2.0, b=4.0"), AGAIN)
case("a default of the function that a partial binds", PARTIAL, ("b=1.0", "b=2.0"), AGAIN)
case(
    "the keywords of a partial, changed in place",
    PARTIAL,
    ("def compute", "scaled.keywords['b'] = 5.0\ndef compute"),
    AGAIN,
)
case(
    "an argument that a partial in a partial of another module binds",
    {
        "helpers.py": "from functools import partial\ndef helper(a, b, x):\n    return x * a + b\ninner = partial(helper, 2.0)\n",
        "main.py": "from functools import partial\nfrom . import helpers\ncompute = lambda x: outer(x)\n"
        "outer = partial(helpers.inner, 1.0)\n",
    },
    {"helpers.py": ("2.0", "3.0")},
    AGAIN,
)
case(
    "which of two functions of one name is defined",
    "FLAG = True\nif FLAG:\n    def helper(x):\n        return x + 1.0\nelse:\n    def helper(x):\n        return x * 2.0\n"
    "def compute(x):\n    return helper(x)\n",
    ("FLAG = True", "FLAG = False"),
    AGAIN,
)
case(
    "a method of a record",
    "from typing import NamedTuple\nclass Pair(NamedTuple):\n    a: float\n    b: float\n    def total(self):\n        return self.a + self.b\n"
    "def compute(x):\n    return Pair(x, 2.0).total()\n",
    ("self.a + self.b", "self.a - self.b"),
    AGAIN,
)
case(
    "a property of a record",
    "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Pair:\n    a: float\n    b: float\n    @property\n"
    "    def total(self):\n        return self.a + self.b\ndef compute(x):\n    return Pair(x, 2.0).total\n",
    ("self.a + self.b", "self.a - self.b"),
    AGAIN,
)
case(
    "a module global that shadows a builtin",
    "def compute(x):\n    return abs(x)\n",
    ("def compute", "def abs(x):\n    return x * 2.0\ndef compute"),
    AGAIN,
)
case(
    "a callee in another place of the same file with another global",
    {
        "helpers.py": "factor = 2.0\ndef helper(x):\n    return x * factor\n",
        "main.py": "from .helpers import helper\ndef compute(x):\n    return helper(x)\n",
    },
    {"helpers.py": ("factor = 2.0", "factor = 6.0")},
    AGAIN,
)

# What must be compiled again: values

for kind, before, after in [
    ("an integer", "2", "3"),
    ("a float", "2.0", "3.0"),
    ("an integer that becomes a float", "2", "2.0"),
    ("an integer that becomes a boolean", "1", "True"),
    ("a zero that becomes negative", "0.0", "-0.0"),
]:
    case(
        f"a global: {kind}",
        f"import math\nvalue = {before}\ndef compute(x):\n    return math.copysign(x, value) + x * value / 2\n",
        (f"value = {before}\n", f"value = {after}\n"),
        AGAIN,
    )
case(
    "a global of another module",
    {
        "settings.py": "factor = 2.0\n",
        "main.py": "from . import settings\ndef compute(x):\n    return x * settings.factor\n",
    },
    {"settings.py": ("2.0", "4.0")},
    AGAIN,
)
case(
    "a global tuple",
    "values = (1.0, 2.0)\ndef compute(x):\n    return x * values[1] + values[0]\n",
    ("(1.0, 2.0)", "(1.0, 3.0)"),
    AGAIN,
)
case(
    "a member of an enumeration",
    "import enum\nclass Mode(enum.IntEnum):\n    FAST = 1\n    SLOW = 2\nmode = Mode.FAST\n"
    "def compute(x):\n    return x * 2.0 if mode == Mode.FAST else x\n",
    ("mode = Mode.FAST", "mode = Mode.SLOW"),
    AGAIN,
)
case(
    "the value of a member of an enumeration",
    "import enum\nclass Scale(enum.IntEnum):\n    SMALL = 1\n    LARGE = 2\ndef compute(x):\n    return x * 2.0 if Scale.LARGE == 2 else x\n",
    ("LARGE = 2", "LARGE = 3"),
    AGAIN,
)
case(
    "a global record",
    "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Pair:\n    a: float\n    b: float\npair = Pair(1.0, 2.0)\n"
    "def compute(x):\n    return x * pair.b + pair.a\n",
    ("Pair(1.0, 2.0)", "Pair(1.0, 5.0)"),
    AGAIN,
)
case(
    "the order of a record's fields",
    "from typing import NamedTuple\nclass Pair(NamedTuple):\n    a: float\n    b: float\n"
    "def compute(x):\n    p = Pair(x, 2.0)\n    return p.a - p.b\n",
    ("    a: float\n    b: float", "    b: float\n    a: float"),
    AGAIN,
)
case(
    "the type of a record's field",
    "import numpy as np\nfrom typing import NamedTuple\nclass Cell(NamedTuple):\n    a: np.float64\n"
    "def compute(x):\n    return Cell(np.float32(x)).a\n",
    ("a: np.float64", "a: np.float32"),
    AGAIN,
)
case(
    "a field that is added to a record",
    "from typing import NamedTuple\nclass Cell(NamedTuple):\n    a: float\ndef compute(x):\n    return x * len(Cell._fields)\n",
    ("    a: float\n", "    a: float\n    b: float = 0.0\n"),
    AGAIN,
)
case(
    "an alias of a dtype",
    "import numpy as np\nreal = np.float64\ndef compute(x):\n    return real(x) / real(3.0)\n",
    ("real = np.float64", "real = np.float32"),
    AGAIN,
)
case(
    "a constant from an environment variable",
    "import os\nfactor = float(os.environ.get('SOUNDNESS_FACTOR', '2'))\ndef compute(x):\n    return x * factor\n",
    {},
    AGAIN,
    environment={"SOUNDNESS_FACTOR": "3"},
    in_process=False,
)
case(
    "the dtype of a captured array",
    "import numpy as np\ntable = np.array([1.0, 2.5])\ndef compute(x):\n    return x * table[1]\n",
    ("np.array([1.0, 2.5])", "np.array([1.0, 2.5], np.float32)"),
    AGAIN,
)
case(
    "an attribute along a path",
    "class Tile:\n    M = 2.0\n    N = 3.0\nclass Config:\n    tile = Tile\ndef compute(x):\n    return x * Config.tile.M\n",
    ("M = 2.0", "M = 4.0"),
    AGAIN,
)
case(
    "an overlay that is added",
    HELPER + "import smelt\ndef replacement(x):\n    return x + 1.0\ndef compute(x):\n    return helper(x)\n",
    ("def compute", "smelt.overlay(helper, (smelt.float64,))(replacement)\ndef compute"),
    AGAIN,
    in_process=False,
)
case(
    "an overlay's text",
    "import smelt\ndef helper(x):\n    return x * 1.0 + y\ny = 1.0\n@smelt.overlay(helper, (smelt.float64,))\n"
    "def replacement(x):\n    return x + y\ndef compute(x):\n    return helper(x)\n",
    ("return x + y", "return x + y + 0.0"),
    AGAIN,
    in_process=False,
)
case(
    "an overlay that becomes more specific",
    "import smelt\nfrom typing import Any\ndef helper(x):\n    return x + 1.0\n@smelt.overlay(helper, (Any,))\n"
    "def general(x):\n    return x + 1.0\ndef special(x):\n    return 1.0 + x\ndef compute(x):\n    return helper(x)\n",
    ("def compute", "smelt.overlay(helper, (smelt.float64,))(special)\ndef compute"),
    AGAIN,
    in_process=False,
)
case(
    "which of two like functions a name means",
    "def make(a):\n    def inner(x):\n        return x\n    return inner\nfirst, second = make(1.0), make(2.0)\nchosen = first\n"
    "def compute(x):\n    return x if chosen is first else -x\n",
    ("chosen = first", "chosen = second"),
    AGAIN,
)
case(
    "a callee that is a default",
    HELPER + "def compute(x, f=helper):\n    return f(x)\n",
    EDIT,
    AGAIN,
)
case(
    "__kwdefaults__",
    "def helper(x, *, a=2.0):\n    return x * a\nhelper.__kwdefaults__ = {'a': 4.0}\ndef compute(x):\n    return helper(x)\n",
    ("'a': 4.0", "'a': 5.0"),
    AGAIN,
)
case(
    "a function of another module that is put in place of one",
    {
        "helpers.py": HELPER,
        "patches.py": "from . import helpers\ndef other(x):\n    return x * 5.0\nON = False\nif ON:\n    helpers.helper = other\n",
        "main.py": "from . import helpers, patches\ndef compute(x):\n    return helpers.helper(x)\n",
    },
    {"patches.py": ("ON = False", "ON = True")},
    AGAIN,
)
case(
    "a name that an import of everything supplies",
    {
        "names.py": "def other(x):\n    return x * 2.0\n",
        "main.py": "from .names import *\ndef compute(x):\n    return abs(x)\n",
    },
    {"names.py": ("def other", "def abs")},
    AGAIN,
)
case(
    "a kernel that is called, for another one",
    "import smelt\n@smelt.kernel\ndef one(out, i, x):\n    out[i] = x + 1.0\n@smelt.kernel\ndef two(out, i, x):\n    out[i] = x + 2.0\n"
    "chosen = one\nstep = {one: 1.0, two: 2.0}[chosen]\ndef compute(x):\n    return x + step\n@smelt.kernel\ndef kernel(out, x):\n"
    "    i = smelt.grid(1)\n    chosen(out, i, x[i])\n",
    ("chosen = one", "chosen = two"),
    AGAIN,
)
case(
    "one of two functions that call each other",
    "def even(n, x):\n    return x if n <= 0 else odd(n - 1, x) * 2.0\ndef odd(n, x):\n    return x if n <= 0 else even(n - 1, x) + 1.0\n"
    "def compute(x):\n    return even(3, x)\n",
    ("+ 1.0", "+ 2.0"),
    AGAIN,
)
case(
    "where a field of a structured dtype lies",
    "import numpy as np\nform = {'names': ['a', 'b'], 'formats': ['f8', 'f8'], 'offsets': [0, 8], 'itemsize': 24}\n"
    "table = np.zeros(2, np.dtype(form))\ntable['b'] = 3.0\ndef compute(x):\n    return x * table[1]['b']\n",
    ("'offsets': [0, 8]", "'offsets': [0, 16]"),
    AGAIN,
)
case(
    "the type of a captured scalar, which promotes another",
    "import numpy as np\nscale = np.float32(0.1)\ndef compute(x):\n    return np.float32(x) * scale\n",
    ("np.float32(0.1)", "np.float64(0.1)"),
    AGAIN,
)
case(
    "an overlay that is taken away",
    HELPER + "import smelt\n@smelt.overlay(helper, (smelt.float64,))\ndef replacement(x):\n    return x + 1.0\n"
    "def compute(x):\n    return helper(x)\n",
    ("@smelt.overlay(helper, (smelt.float64,))\n", ""),
    AGAIN,
    in_process=False,
)
case(
    "a line above, where debuggers are told of lines",
    "import smelt\ndef compute(x):\n    return x + 1.0\n@smelt.kernel(debug_level=1)\ndef kernel(out, x):\n    i = smelt.grid(1)\n"
    "    out[i] = compute(x[i])\n",
    ("def compute", "\n\ndef compute"),
    AGAIN,
)
for option in ("boundscheck=False", "fastmath=True", "opt_level=1", "debug_level=1", "name='another'"):
    case(
        f"the option {option}",
        "import smelt\ndef compute(x):\n    return x + 1.0\n@smelt.kernel()\ndef kernel(out, x):\n    i = smelt.grid(1)\n"
        "    out[i] = compute(x[i])\n",
        ("@smelt.kernel()", f"@smelt.kernel({option})"),
        AGAIN,
    )

# What must be compiled again: contents of lists and dicts

ITEMS = "weights = [2.0, 3.0]\ndef compute(x):\n    return x * weights[0] + len(weights)\n"
ENTRIES = (
    "import enum\nclass Mode(enum.Enum):\n    FAST = 1\nfrom .helpers import helper\n"
    'rates = {"a": 2.0, "b": 3.0, Mode.FAST: 4.0, (1, 2): helper}\n'
    "def compute(x):\n    return rates[1, 2](x * rates['a'] + rates[Mode.FAST] + rates.get('c', 1.0) + ('d' in rates))\n"
)
ENTRIES_OF = {"helpers.py": HELPER, "main.py": ENTRIES}
KEYS = (
    'rates = {"a": 2.0, "b": 3.0}\ndef compute(x):\n    total = 1.0\n    for name in rates:\n'
    "        total = total * x + rates[name]\n    return total\n"
)
NESTED = "rows = [[1.0, 2.0], [3.0]]\ndef compute(x):\n    return x * rows[1][0] + sum(rows[0])\n"
case("an item of a list", ITEMS, ("[2.0", "[5.0"), AGAIN)
case("an item of a list, changed in place", ITEMS, ("def compute", "weights[0] = 7.0\ndef compute"), AGAIN)
case("a list with one item more", ITEMS, ("3.0]", "3.0, 3.0]"), AGAIN)
case(
    "a list that was emptied and filled",
    ITEMS,
    ("def compute", "weights.clear()\nweights.extend([3.0, 2.0])\ndef compute"),
    AGAIN,
)
case("an item of another type", ITEMS, ("[2.0", "[2"), AGAIN)
case("an item of a list in a list", NESTED, ("[3.0]", "[4.0]"), AGAIN)
TUPLE = 'levels = (1, [2.0, 3.0], ({"a": 4.0},))\ndef compute(x):\n    return x * levels[1][0] + levels[2][0]["a"]\n'
case("an item of a list in a tuple", TUPLE, ("[2.0", "[5.0"), AGAIN)
case("an item of a list in a tuple, changed in place", TUPLE, ("def compute", "levels[1][0] = 7.0\ndef compute"), AGAIN)
case("an entry of a dict in a tuple", TUPLE, ("def compute", "levels[2][0]['a'] = 7.0\ndef compute"), AGAIN)
case("an entry of a dict", ENTRIES_OF, ('"a": 2.0', '"a": 2.5'), AGAIN)
case("an entry of a dict, changed in place", ENTRIES_OF, ("def compute", "rates['a'] = 9.0\ndef compute"), AGAIN)
case("an entry under a member of an enumeration", ENTRIES_OF, ("FAST: 4.0", "FAST: 5.0"), AGAIN)
case("an entry that was looked for with get", ENTRIES_OF, ("def compute", "rates['c'] = 9.0\ndef compute"), AGAIN)
case("an entry that was looked for with in", ENTRIES_OF, ("def compute", "rates['d'] = 9.0\ndef compute"), AGAIN)
case("a function in a dict", ENTRIES_OF, {"helpers.py": EDIT}, AGAIN)
case("a dict with one key more", KEYS, ("3.0}", '3.0, "c": 4.0}'), AGAIN)
case("the order of a dict", KEYS, ("def compute", "rates['a'] = rates.pop('a')\ndef compute"), AGAIN)

# What must not be compiled again

case("a comment", "def compute(x):\n    return x + 1.0\n", ("    return", "    # Why.\n    return"), NOT_AGAIN)
case("a docstring", "def compute(x):\n    return x + 1.0\n", ("    return", "    'What.'\n    return"), NOT_AGAIN)
case("formatting", "def compute(x):\n    return x + 1.0\n", ("x + 1.0", "(x\n        +  1.0)"), NOT_AGAIN)
case("blank lines above", "def compute(x):\n    return x + 1.0\n", ("def compute", "\n\n\ndef compute"), NOT_AGAIN)
case("nothing", "def compute(x):\n    return x + 1.0\n", ("", ""), NOT_AGAIN)
case(
    "a function that it does not call",
    HELPER + "def compute(x):\n    return x * 2.0\n",
    EDIT,
    NOT_AGAIN,
)
case(
    "a global that it does not read",
    "a = 1.0\nb = 2.0\ndef compute(x):\n    return x * b\n",
    ("a = 1.0", "a = 3.0"),
    NOT_AGAIN,
)
case(
    "a global that is bound to an equal constant",
    "b = 2.0\ndef compute(x):\n    return x * b\n",
    ("b = 2.0", "b = 4.0 / 2.0"),
    NOT_AGAIN,
)
case(
    "the order of imports",
    "import math\nimport sys\ndef compute(x):\n    return math.sqrt(x * x)\n",
    ("import math\nimport sys", "import sys\nimport math"),
    NOT_AGAIN,
)
case(
    "the contents of a captured array",
    "import numpy as np\ntable = np.array([1.0, 2.5])\ndef compute(x):\n    return x * table[1]\n",
    ("[1.0, 2.5]", "[1.0, 4.5]"),
    NOT_AGAIN,
)
case(
    "a member that is added to an enumeration",
    "import enum\nclass Scale(enum.IntEnum):\n    SMALL = 1\n    LARGE = 2\ndef compute(x):\n    return x * 2.0 if Scale.LARGE == 2 else x\n",
    ("LARGE = 2\n", "LARGE = 2\n    HUGE = 3\n"),
    NOT_AGAIN,
)
case(
    "a sibling of an attribute",
    "class Tile:\n    M = 2.0\n    N = 3.0\nclass Config:\n    tile = Tile\ndef compute(x):\n    return x * Config.tile.M\n",
    ("N = 3.0", "N = 4.0"),
    NOT_AGAIN,
)
case(
    "a global that a captured variable shadows",
    "factor = 1.0\ndef make(factor):\n    def inner(x):\n        return x * factor\n    return inner\ncompute = make(2.0)\n",
    ("factor = 1.0", "factor = 9.0"),
    NOT_AGAIN,
)
case(
    "an annotation of a function",
    "def compute(x):\n    return x + 1.0\n",
    ("compute(x)", "compute(x: float) -> float"),
    NOT_AGAIN,
)
case(
    "a default that is not used",
    "def helper(x, a=2.0):\n    return x * a\ndef compute(x):\n    return helper(x, 3.0)\n",
    ("a=2.0", "a=5.0"),
    NOT_AGAIN,
)
case(
    "a method that it does not call",
    "from typing import NamedTuple\nclass Pair(NamedTuple):\n    a: float\n    def total(self):\n        return self.a\n"
    "    def unused(self):\n        return self.a * 2.0\ndef compute(x):\n    return Pair(x).total()\n",
    ("self.a * 2.0", "self.a * 3.0"),
    NOT_AGAIN,
)
case(
    "an overlay for other types",
    HELPER + "import smelt\ndef replacement(x):\n    return x\ndef compute(x):\n    return helper(x)\n",
    ("def compute", "smelt.overlay(helper, (smelt.int8,))(replacement)\ndef compute"),
    NOT_AGAIN,
    in_process=False,
)
case("a list that is made anew, alike", ITEMS, ("[2.0, 3.0]", "[2.0] + [3.0]"), NOT_AGAIN)
case("a list in a tuple that is made anew, alike", TUPLE, ("[2.0, 3.0]", "[2.0] + [3.0]"), NOT_AGAIN)
case("a dict that is made anew, alike", ENTRIES_OF, ('"a": 2.0, "b": 3.0', '"b": 3.0, "a": 2.0'), NOT_AGAIN)
case("an entry of a dict that is not read", ENTRIES_OF, ('"b": 3.0', '"b": 4.0'), NOT_AGAIN)
case("a partial that is made anew, alike", PARTIAL, ("a=2.0, c=3.0", "c=3.0, a=2.0"), NOT_AGAIN)
case(
    "a partial in a global tuple that is made anew, alike",
    "from functools import partial\nrules = (partial(pow, 2.0), partial(max, 1.0))\ndef compute(x):\n"
    "    return rules[0](x) + rules[1](x)\n",
    ("rules =", "rules = None\nrules ="),
    NOT_AGAIN,
)
case(
    "a NaN for another one of the same bits",
    "import math\nvalue = math.nan\ndef compute(x):\n    return x if value != value else -x\n",
    ("math.nan", "float('nan')"),
    NOT_AGAIN,
)
case(
    "what a function is called in texts, and what hangs on it",
    HELPER + "helper.version = 1\ndef compute(x):\n    return helper(x)\n",
    ("helper.version = 1", "helper.__doc__, helper.version, helper.__name__ = 'What.', 2, 'other'"),
    NOT_AGAIN,
)
case(
    "an import of a name that is not used",
    "def compute(x):\n    return x + 1.0\n",
    ("def compute", "import json\nfrom math import *\ndef compute"),
    NOT_AGAIN,
)
case(
    "a class that is made anew, alike",
    "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Pair:\n    a: float\n    b: float\n"
    "def compute(x):\n    return Pair(x, 2.0).b * x\n",
    ("class Pair:\n", "class Pair:\n    # As before.\n"),
    NOT_AGAIN,
    in_process=False,
)
