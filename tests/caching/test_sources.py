# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ast
import contextlib
import doctest
import functools
import gc
import importlib
import importlib.util
import json
import linecache
import os
import py_compile
import subprocess
import sys
import threading
import types
import warnings
import zipfile

import pytest
from hypothesis import given, settings, strategies as st

from smelt.caching.errors import SourceError
from smelt.caching.sources import SourceFiles, function_source, mangle


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Writes a module and imports it; a second call of the same name edits it and imports it again."""
    monkeypatch.syspath_prepend(str(tmp_path))
    times = iter(range(1_000_000_000, 2_000_000_000, 10))
    loaded = []

    def load(text, name="written_module"):
        path = tmp_path / f"{name}.py"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        # Python tells files apart by size and whole seconds.
        moment = next(times)
        os.utime(path, (moment, moment))
        importlib.invalidate_caches()
        sys.modules.pop(name, None)
        loaded.append(name)
        return importlib.import_module(name)

    yield load
    for name in loaded:
        sys.modules.pop(name, None)


def compile_cell(text, filename, flags=0):
    """What a notebook does with a cell: the text is given to linecache, then compiled."""
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    return compile(text, filename, "exec", flags, dont_inherit=True)


def run_text(text, filename, flags=0):
    namespace = {"__name__": "cell"}
    exec(compile_cell(text, filename, flags), namespace)
    return namespace


def text_of(function):
    return ast.unparse(function_source(function).node)


def functions_within(code):
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from functions_within(constant)
            if constant.co_name == "<lambda>":
                yield types.FunctionType(
                    constant, {}, None, None, tuple(types.CellType() for _ in constant.co_freevars)
                )


# Finding


def test_a_function_is_found_with_its_file_and_line(load):
    module = load("x = 1\n\n\ndef f(a):\n    return a + x\n")
    source = function_source(module.f)
    assert source.node.name == "f"
    assert source.filename == module.__file__
    assert source.first_line == source.node.lineno == 4
    assert source.line(5) == "    return a + x"
    assert source.line(0) == source.line(99) == ""
    assert source.class_name is None


def test_a_decorated_function_begins_at_its_first_decorator(load):
    module = load("def same(f):\n    return f\n\n@same\n@same\ndef f():\n    return 1\n")
    source = function_source(module.f)
    assert (source.first_line, source.node.lineno) == (4, 6)


def test_wrapped_functions_are_not_followed(load):
    module = load(
        "import functools\n"
        "def twice(f):\n"
        "    @functools.wraps(f)\n"
        "    def wrapper(*args):\n"
        "        return 2 * f(*args)\n"
        "    return wrapper\n"
        "@twice\n"
        "def f(a):\n"
        "    return a\n"
    )
    assert function_source(module.f).node.name == "wrapper"
    assert function_source(module.f.__wrapped__).node.name == "f"


def test_a_replaced_code_object_brings_its_own_source(load):
    f = load("def f():\n    return 1\n", "one").f
    g = load("# another file\ndef g():\n    return 2\n", "other").g
    assert function_source(f).node.name == "f"
    f.__code__ = g.__code__
    assert function_source(f) is function_source(g)


def test_functions_of_one_name_are_told_apart_by_line(load):
    module = load(
        "def make(first):\n"
        "    if first:\n"
        "        def f(): return 1\n"
        "    else:\n"
        "        def f(): return 2\n"
        "    return f\n"
    )
    assert text_of(module.make(True)).endswith("return 1")
    assert text_of(module.make(False)).endswith("return 2")


def test_generators_coroutines_closures_and_methods_are_found(load):
    module = load(
        "import types\n"
        "def generator(): yield 1\n"
        "@types.coroutine\n"
        "def iterable_coroutine(): yield 1\n"
        "async def coroutine(): return 1\n"
        "async def asynchronous_generator(): yield 1\n"
        "def make(n):\n"
        "    def closure(): return n\n"
        "    return closure\n"
        "class C:\n"
        "    def method(self): return __class__\n"
        "    @staticmethod\n"
        "    def static(): return 2\n"
        "    @property\n"
        "    def prop(self): return 3\n"
    )
    functions = {
        "generator": module.generator,
        "iterable_coroutine": module.iterable_coroutine,
        "coroutine": module.coroutine,
        "asynchronous_generator": module.asynchronous_generator,
        "closure": module.make(1),
        "method": module.C().method.__func__,
        "static": module.C.static,
        "prop": module.C.prop.fget,
    }
    assert {name: function_source(function).node.name for name, function in functions.items()} == {
        n: n for n in functions
    }


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters are new in Python 3.12")
def test_functions_with_type_parameters_are_found():
    cell = run_text(
        "def f[T](x: T) -> T:\n    return x\nclass C[T]:\n    def g[S](self, x: S): return x\n", "<generics>"
    )
    assert function_source(cell["f"]).node.name == "f"
    assert function_source(cell["C"].g).node.name == "g"


def test_private_names_do_not_matter_for_finding_and_the_class_is_told(load):
    module = load(
        "class _Outer:\n"
        "    def __f(self, __x): return self.__x + __x\n"
        "    class Inner:\n"
        "        g = lambda self: self.__y\n"
        "    def h(self):\n"
        "        def nested(): return __z\n"
        "        return nested\n"
        "class D(_Outer, metaclass=(lambda __a, *rest: type(__a, *rest))): pass\n"
    )
    outer = module._Outer
    assert function_source(outer._Outer__f).class_name == "_Outer"
    assert function_source(outer._Outer__f).node.name == "__f"
    assert function_source(outer.Inner.g).class_name == "Inner"
    assert function_source(outer().h()).class_name == "_Outer"


@pytest.mark.parametrize(
    ("name", "class_name", "mangled"),
    [
        ("__x", "A", "_A__x"),
        ("__x", "__A", "_A__x"),
        ("__x", "___", "__x"),
        ("__x", None, "__x"),
        ("__x__", "A", "__x__"),
        ("_x", "A", "_x"),
        ("__a.b", "A", "__a.b"),
    ],
)
def test_names_are_mangled_as_python_does(name, class_name, mangled):
    assert mangle(name, class_name) == mangled
    if class_name is not None and "." not in name:
        cell = {}
        exec(f"class {class_name}:\n def f(self): {name}", cell)
        assert cell[class_name].f.__code__.co_names == (mangled,)


# Lambdas


LAMBDAS = {
    "two on a line": "f = lambda: 1; g = lambda: 2",
    "in a tuple": "a, b, c = lambda x: x + 1, lambda x: x + 2, lambda y: y",
    "one in the other": "f = lambda x: lambda y: x + y",
    "three deep": "f = lambda x, y, z: lambda a, b, c: lambda: z * (b + y)",
    "in parentheses": "f = (lambda: (lambda: ((1))))",
    "as a default": "f = lambda x=(lambda: 1), *, y=lambda: 2: lambda: x",
    "after a dead one": "if 0: f = lambda: 1\ng = (lambda: 2) if 0 else (lambda: 3), lambda: x",
    "over several lines": "f = [lambda: (\n  1), lambda: 2,\n lambda: [\n lambda: 3]]",
    "with generators": "f, g = lambda: (yield 1), lambda: (a for a in (lambda: 2)())",
    "with a decorator": "d = lambda f: f\n@(lambda f: d(f))\ndef f(): return 1",
    "with conditions": "f = lambda: (a if b else c); g = lambda: (a and b or (lambda: d))",
    "with a condition known beforehand": "f = lambda: 1 if True else (lambda: 2); g = lambda: (lambda: 2)",
    "with comprehensions": "f = lambda: [a for a in b]; g = lambda: {a: (lambda: a) for a in b}",
    "in class bodies": "class A: f = lambda self: self.__x, lambda self: self.__y",
    "of constants": "f = lambda: None; g = lambda: ...; h = lambda: 'text'; i = lambda: 1; j = lambda: True; k = lambda: 1.0",
    "beyond ASCII": "f = lambda: 'äöü€'; g = lambda: 'ä'; h = lambda: 'ö' + x",
}

LAMBDA_PROGRAM = """
import ast, json, sys, types
from smelt.caching.sources import function_source

def codes(code):
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from codes(constant)

# Written out with each lambda on a line of its own, every lambda is found by its line alone.
def all_lambdas(text, filename):
    import linecache
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    for code in codes(compile(text, filename, "exec")):
        if code.co_name == "<lambda>":
            cells = tuple(types.CellType() for _ in code.co_freevars)
            yield ast.unparse(function_source(types.FunctionType(code, {}, None, None, cells)).node)

print(json.dumps({name: list(all_lambdas(text, "<" + name + ">")) for name, text in json.load(sys.stdin).items()}))
"""


def on_lines_of_their_own(text):
    """The same program with each lambda where no other begins."""
    return text.replace("lambda", "\\\nlambda")


@pytest.mark.parametrize("name", LAMBDAS)
def test_lambdas_on_one_line_are_told_apart(name):
    def all_lambdas(text):
        return [text_of(function) for function in functions_within(compile_cell(text, f"<{text}>"))]

    found = all_lambdas(LAMBDAS[name])
    assert found == all_lambdas(on_lines_of_their_own(LAMBDAS[name]))
    assert len(found) > 1


@pytest.mark.parametrize("options", [["-X", "no_debug_ranges"], ["-O"], ["-OO"], ["-O", "-X", "no_debug_ranges"]])
def test_lambdas_are_told_apart_without_columns_and_with_optimisation(options):
    def in_child(texts):
        done = subprocess.run(
            [sys.executable, *options, "-c", LAMBDA_PROGRAM],
            input=json.dumps(texts),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    found = in_child(LAMBDAS)
    assert found == in_child({name: on_lines_of_their_own(text) for name, text in LAMBDAS.items()})


keeps_columns = pytest.mark.skipif(
    all(column is None for _, _, column, _ in text_of.__code__.co_positions()),
    reason="this interpreter was told to keep no columns",
)


@keeps_columns
def test_equal_lambdas_on_a_line_are_found_where_each_stands():
    text = "fs = [lambda x: x + y, lambda x: x + y, lambda x: (lambda x: x + y), lambda x=(lambda x: y): y]\n"
    first, second, third, fourth = run_text(text, "<equal lambdas>")["fs"]
    functions = (first, second, third, third(1), fourth, *fourth.__defaults__)
    assert [function_source(function).node.col_offset for function in functions] == [6, 23, 40, 51, 69, 79]


def test_lambdas_of_equal_code_but_different_text_are_refused_where_nothing_tells_them_apart():
    cell = run_text("fs = [lambda x, y: not x in y, lambda x, y: x not in y]\n", "<folded lambdas>")
    first, second = (function.__code__ for function in cell["fs"])
    without_positions = [
        types.FunctionType(code.replace(co_linetable=b""), cell) for code in (first, second)
    ]  # as -X no_debug_ranges leaves it
    for function in without_positions:
        with pytest.raises(SourceError, match="a line of its own"):
            function_source(function)


@st.composite
def nested_lambdas(draw, depth=0):
    # Python 3.14 has an instruction of its own for smaller ones.
    number = draw(st.integers(1000, 10**6))
    inner = draw(st.lists(nested_lambdas(depth=depth + 1), max_size=3)) if depth < 3 else []
    default = draw(st.one_of(st.just(""), nested_lambdas(depth=depth + 2))) if depth < 2 else ""
    parameter = f" x=({default})" if default else draw(st.sampled_from(["", " x", " *x", " x, /, *, y"]))
    space = draw(st.sampled_from(["", " ", "  "]))
    return f"lambda{parameter}:{space}[{number}, z, {', '.join(inner)}]"


@keeps_columns
@settings(deadline=None)
@given(st.lists(nested_lambdas(), min_size=2, max_size=4))
def test_any_number_of_lambdas_on_a_line_are_told_apart(lambdas):
    text = "fs = " + ", ".join(lambdas) + "\n"
    for function in functions_within(compile_cell(text, f"<{text}>")):
        node = function_source(function).node
        columns = [
            c
            for line, _, c, e in function.__code__.co_positions()
            if line and c is not None and e is not None and c < e
        ]
        # The body is a list, and the list's own instruction has its extent.
        assert node.body.col_offset == min(columns)
        assert node.body.elts[0].value in function.__code__.co_consts


# Checking


def test_an_edited_file_is_noticed_and_a_reload_helps(load):
    module = load("def f():\n    return 1\n")
    stale = module.f
    fresh = load("def f():\n    return 2\n").f
    with pytest.raises(SourceError, match=r"written_module\.f in .*written_module\.py has changed.*reload the module"):
        function_source(stale)
    assert text_of(fresh).endswith("return 2")


@pytest.mark.parametrize(
    "edited",
    [
        "def f(a, b=1, *, c=2):\n    return a - b",
        "def f(a, b=1, *, c=2):\n    return a + c",
        "def f(a, /, b=1, *, c=2):\n    return a + b",
        "def f(a, b=1, *c):\n    return a + b",
        "def f(b, a=1, *, c=2):\n    return a + b",
        "def f(a, b=1, *, c=2):\n    yield a + b",
        "async def f(a, b=1, *, c=2):\n    return a + b",
        "\ndef f(a, b=1, *, c=2):\n    return a + b",
        "def g(a, b=1, *, c=2):\n    return a + b",
        "f = 1",
        "",
        "def f(:",
        "def f(a, b=1, *, c=2):\n    return a + b\nreturn",
    ],
)
def test_what_the_function_was_not_made_of_is_never_handed_out(load, edited):
    stale = load("def f(a, b=1, *, c=2):\n    return a + b\n").f
    with contextlib.suppress(SyntaxError):
        load(edited + "\n")
    with pytest.raises(SourceError, match=r"written_module\.f"):
        function_source(stale)


@pytest.mark.parametrize(
    "before_and_after", [("1", "1.0"), ("1", "True"), ("0.0", "-0.0"), ("(1, 2)", "(1, 2.0)"), ("a in {1}", "a in {2}")]
)
def test_constants_are_compared_with_their_types(load, before_and_after):
    before, after = before_and_after
    stale = load(f"def f(a):\n    return {before}\n").f
    load(f"def f(a):\n    return {after}\n")
    with pytest.raises(SourceError, match="has changed"):
        function_source(stale)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f(*a): return a", "def f(**a): return a"),
        ("def f(a, b): return (lambda: a)", "def f(a, b): return (lambda: b)"),
        ("def f(a, b): return [a, lambda: a]", "def f(a, b): return [a, lambda: b]"),
        ("def f(x): return a", "def f(x): return b"),
        ("def f(x): return x", "def f(y): return y"),
        ("def f(x): y = 1; return y", "def f(x, y): y = 1; return y"),
        ("def f(x): y = 1; return y", "def f(x, *, y): y = 1; return y"),
        ("def f(x, y): return y", "def f(x, /, y): return y"),
        ("def f(x): return x.a", "def f(x): return x.b"),
        ("def f(x):\n        try: a()\n        finally: x()", "def f(x):\n        a()\n        x()"),
    ],
)
def test_functions_that_differ_in_one_respect_are_told_apart(load, before, after):
    stale = load(f"def make(a, b):\n    {before}\n    return f\n").make(1, 2)
    load(f"def make(a, b):\n    {after}\n    return f\n")
    with pytest.raises(SourceError, match="has changed"):
        function_source(stale)


def test_swapped_lambdas_are_not_mistaken_for_each_other(load):
    f, g = load("fs = [lambda: x + 1, lambda: x + 2]\n").fs
    load("fs = [lambda: x + 2, lambda: x + 1]\n")
    # What was the first is the second now, and it is its text that counts.
    assert (text_of(f), text_of(g)) == ("lambda: x + 1", "lambda: x + 2")
    load("fs = [lambda: x + 3, lambda: x + 4]\n")
    assert text_of(f) == "lambda: x + 1"


def test_comments_and_unrelated_edits_below_do_not_matter(load):
    f = load("def f():\n    return 1\n").f
    load("def f():  # one\n    return 1\n\ndef g():\n    return 2\n")
    assert text_of(f).endswith("return 1")


def test_a_settled_function_keeps_its_source_when_the_file_changes(load):
    old = load("def f():\n    return 1\n").f
    before = function_source(old)
    new = load("def f():\n    return 2\n").f
    assert function_source(old) is before
    assert before.line(2) == "    return 1"
    assert text_of(new).endswith("return 2")


def test_a_file_is_parsed_once_and_again_only_if_its_text_changed(load, monkeypatch):
    module = load("def f():\n    return 1\ndef g():\n    return 2\n")
    files = SourceFiles()
    f = files.source_of(module.f)
    monkeypatch.setattr("smelt.caching.sources._ParsedFile.__init__", None)
    g = files.source_of(module.g)
    assert f.lines is g.lines
    # Touched, with equal bytes.
    os.utime(module.__file__, (1, 1))
    h = types.FunctionType(module.g.__code__.replace(co_flags=module.g.__code__.co_flags), vars(module))
    assert files.source_of(h).lines is f.lines


def test_only_so_many_files_are_kept(load):
    files = SourceFiles(limit=2)
    functions = [load("def f(): return 1\n", f"kept_{number}").f for number in range(4)]
    sources = [files.source_of(function) for function in functions]
    assert [name[-9:] for name in files._files] == ["kept_2.py", "kept_3.py"]
    # What was settled is not looked up again.
    assert [files.source_of(function) for function in functions] == sources


def test_a_settled_function_is_forgotten_with_its_code():
    files = SourceFiles()
    f = run_text("def f(): return 1\n", "<forgotten>")["f"]
    # A code object that nothing else knows: tools that measure coverage keep those they meet.
    f.__code__ = f.__code__.replace()
    files.source_of(f)
    assert len(files._settled) == 1
    del f
    gc.collect()
    assert not files._settled


def test_many_threads_may_ask_at_once(load):
    text = "".join(f"def f{n}(): return {n}\n" for n in range(200))
    module = load(text)
    files = SourceFiles()
    found = []
    start = threading.Barrier(8)

    def ask():
        start.wait()
        found.append([files.source_of(getattr(module, f"f{n}")).node for n in range(200)])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(nodes == found[0] for nodes in found)
    assert len(found) == 8


def test_warnings_of_the_compiler_are_not_given_again(load):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = load('def f(x):\n    return x is "a" or "\\d"\n')
    assert function_source(module.f).node.name == "f"


@pytest.mark.parametrize(
    "text",
    [
        b"def g(): return 1\r\n\r\ndef f():\r\n    return 'x'\r\n",
        b"\xef\xbb\xbfdef g(): return 1\n\ndef f():\n    return 'x'\n",
        b"# -*- coding: latin-1 -*-\n\xe4 = lambda: '\xe4\xf6'; \xf6 = lambda: '\xfc' + x\ndef f():\n    return 'x'\n",
        b"'\x0c'\n\x0c\ndef f():\n    return 'x'\n",
        "s = '\u2028\x85'\n\ndef f():\n    return 'x'".encode(),
    ],
    ids=["carriage returns", "byte order mark", "encoding", "form feeds", "separators of Unicode"],
)
def test_lines_are_counted_as_python_counts_them(load, text):
    module = load(text)
    source = function_source(module.f)
    assert source.line(source.first_line) == "def f():"
    assert source.line(source.first_line + 1) == "    return 'x'"


# Where the text may come from


@pytest.mark.parametrize(
    "text",
    [
        "import os\ndef f(x):\n    return os.fspath(x)\n",
        "import os\nf, g = (lambda x: os.fspath(x)), (lambda x: os.fsencode(x))\n",
    ],
    ids=["function", "lambdas"],
)
def test_a_cell_that_was_compiled_statement_by_statement_is_a_source(text):
    # As notebooks and shells do it. What a name means that another statement imports, the compiler then doesn't know.
    filename = "<cell of statements>"
    compile_cell(text, filename)
    namespace = {"__name__": "cell"}
    for statement in ast.parse(text).body:
        exec(compile(ast.Module([statement], []), filename, "exec", dont_inherit=True), namespace)
    assert "os.fspath(x)" in ast.unparse(function_source(namespace["f"]).node)
    linecache.cache[filename] = (0, None, text.replace("fspath", "stat").splitlines(keepends=True), filename)
    namespace["f"].__code__ = namespace["f"].__code__.replace()
    with pytest.raises(SourceError, match="has changed since it was imported"):
        function_source(namespace["f"])


def test_a_cell_known_to_linecache_is_a_source():
    first = run_text("def f(): return 1\n", "<cell 1>")
    second = run_text("def f(): return 2\n", "<cell 2>")
    assert text_of(first["f"]).endswith("return 1")
    assert text_of(second["f"]).endswith("return 2")


def test_a_cell_that_awaits_at_top_level_is_a_source():
    text = "async def f(): return 1\nx = await f()\n"
    filename = "<awaiting cell>"
    code = compile_cell(text, filename, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    function = next(constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    assert function_source(types.FunctionType(function, {})).node.name == "f"


def test_future_statements_of_earlier_cells_are_honoured():
    import __future__

    text = "def f():\n    def g(x: int): return x\n    return g\n"
    cell = run_text(text, "<cell of the future>", __future__.annotations.compiler_flag)
    assert function_source(cell["f"]).node.name == "f"
    # The very same cell without them is another program.
    assert function_source(run_text(text, "<cell of the future>")["f"]).node.name == "f"


def test_a_doctest_is_a_source():
    text = ">>> def f(x):\n...     return x + 1\n>>> g = lambda: 1\n>>> found(f), found(g)\n('f', 'lambda')\n"

    def found(function):
        node = function_source(function).node
        return getattr(node, "name", "lambda")

    test = doctest.DocTestParser().get_doctest(text, {"found": found}, "sources", "sources.txt", 0)
    runner = doctest.DocTestRunner(verbose=False)
    assert runner.run(test, out=lambda _: None).failed == 0


def test_a_module_in_a_zip_file_is_a_source(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "library.zip", "w") as archive:
        archive.writestr("zipped_module.py", "x = 1\ndef f():\n    return x\n")
    monkeypatch.syspath_prepend(str(tmp_path / "library.zip"))
    module = importlib.import_module("zipped_module")
    source = function_source(module.f)
    assert source.first_line == 2
    assert source.line(3) == "    return x"
    del sys.modules["zipped_module"]


# What has no source


def test_a_bare_exec_has_no_source():
    namespace = {"__name__": "somewhere"}
    exec("def f(): return 1", namespace)
    with pytest.raises(
        SourceError, match=r"somewhere\.f has no source.*<string>.*define it in a file or a notebook cell"
    ):
        function_source(namespace["f"])


def test_a_module_of_which_there_is_only_the_compiled_file_has_no_source(tmp_path):
    path = tmp_path / "compiled_only.py"
    path.write_text("def f(): return 1\n")
    py_compile.compile(str(path), cfile=str(tmp_path / "compiled_only.pyc"))
    path.unlink()
    spec = importlib.util.spec_from_file_location("compiled_only", tmp_path / "compiled_only.pyc")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(SourceError, match=r"compiled_only\.f has no source"):
        function_source(module.f)


class Callable:
    def __call__(self):
        return 1

    def method(self):
        return 2


@pytest.mark.parametrize(
    ("not_a_function", "named"),
    [
        (len, r"builtins\.builtin_function_or_method len"),
        (Callable, r"builtins\.type Callable"),
        (Callable(), r"Callable has no Python source"),
        (Callable().method, r"builtins\.method Callable\.method.*__func__"),
        (functools.partial(len), r"functools\.partial"),
        (None, r"NoneType"),
    ],
)
def test_what_is_no_python_function_is_refused_by_name(not_a_function, named):
    with pytest.raises(SourceError, match=named):
        function_source(not_a_function)


def test_code_made_by_hand_is_refused(load):
    module = load("def f():\n    return 1\n")
    module.f.__code__ = module.f.__code__.replace(co_consts=(None, 2))
    with pytest.raises(SourceError, match="rewrites code"):
        function_source(module.f)


# Tools that change what runs


def function_with_assertions(a, *rest, b=1, **more):
    assert a == b, "a message"
    assert [a + 1 for a in rest] or (lambda: more)
    return a


def test_functions_rewritten_by_pytest_are_found():
    # Run as a test module it is rewritten; imported otherwise it is plain. Both must be found.
    source = function_source(function_with_assertions)
    assert source.node.name == "function_with_assertions"
    assert len(source.node.body) == 3


def test_functions_within_a_rewritten_test_are_found():
    __private = 3

    def inner(x):
        return x + __private

    def inner_with_assertion(x):
        assert x
        return __private

    outer = lambda x: x + 1  # noqa: E731
    assert any(name.startswith("@py") for name in inner_with_assertion.__code__.co_names)
    assert [text_of(f).split("\n")[0] for f in (inner, inner_with_assertion, outer)] == [
        "def inner(x):",
        "def inner_with_assertion(x):",
        "lambda x: x + 1",
    ]


class WithPrivateParameter:
    def method(self, __x):  # noqa: PYI063 -- the old way to write x, /
        assert __x
        return __x


def test_rewritten_methods_with_private_parameters_are_found():
    assert function_source(WithPrivateParameter.method).class_name == "WithPrivateParameter"


def test_tracing_does_not_matter(load):
    module = load("def f(a):\n    b = a + 1\n    return b\nfs = [lambda: f(1), lambda: f(2)]\n")
    before = sys.gettrace()

    def trace(*_):
        return trace

    sys.settrace(trace)
    try:
        for _ in range(100):
            module.f(1), module.fs[0](), module.fs[1]()
        names = [text_of(function) for function in (module.f, *module.fs)]
    finally:
        sys.settrace(before)
    assert names == ["def f(a):\n    b = a + 1\n    return b", "lambda: f(1)", "lambda: f(2)"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in Python 3.12")
def test_monitoring_does_not_matter(load):
    module = load(
        "def f(a):\n    b = a + 1\n    for i in range(3): b += i\n    return b\nfs = [lambda: f(1), lambda: f(2)]\n"
    )
    monitoring = sys.monitoring
    tool = next(tool for tool in range(6) if monitoring.get_tool(tool) is None)
    monitoring.use_tool_id(tool, "a tool of this test")
    events = monitoring.events
    seen = []
    try:
        monitoring.register_callback(tool, events.LINE, lambda *_: seen.append(1))
        monitoring.set_events(tool, events.LINE | events.INSTRUCTION | events.PY_START | events.BRANCH | events.CALL)
        for _ in range(100):
            module.f(1), module.fs[0](), module.fs[1]()
        sources = [function_source(function).node for function in (module.f, *module.fs)]
    finally:
        monitoring.set_events(tool, 0)
        monitoring.register_callback(tool, events.LINE, None)
        monitoring.free_tool_id(tool)
    assert seen
    assert [type(node) for node in sources] == [ast.FunctionDef, ast.Lambda, ast.Lambda]


def test_specialisation_of_hot_code_does_not_matter(load):
    module = load("def f(a):\n    return a.real + a.imag\n")
    for _ in range(10_000):
        module.f(1)
    assert function_source(module.f).node.name == "f"


@pytest.mark.parametrize("options", [[], ["-O"], ["-OO"]])
def test_the_level_of_optimisation_is_honoured(options, tmp_path):
    (tmp_path / "optimised.py").write_text(
        'def f(x):\n    """Text."""\n    assert x\n    if __debug__:\n        return 1\n    return 2\n'
    )
    program = "import optimised; from smelt.caching.sources import function_source; print(function_source(optimised.f).node.name)"
    done = subprocess.run(
        [sys.executable, *options, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )
    assert (done.stdout, done.stderr) == ("f\n", "")
