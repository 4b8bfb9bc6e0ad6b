"""The rules of the house that no general checker knows, read from the syntax trees of the packages.

Every rule is a function from a syntax tree to complaints; it is tried on a snippet that breaks it before it judges the tree.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from runtime.actor import Actor

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("runtime", "actors", "net", "sim", "api")
FUNCTION_LINES_MAX = 60

DOORS = {"runtime/clock.py", "runtime/random.py"}
"""The only files that may ask the operating system for time or entropy."""

CLOCK_EXCEPTIONS: dict[str, str] = {}
"""Path to the reason why it may do the same."""

LONG_FUNCTIONS: dict[str, str] = {}
"""`path::function` to the reason why it may be longer than a screen."""

BANNED_CALLS = re.compile(
    r"time\.(time|monotonic|perf_counter|process_time)(_ns)?|time\.(localtime|gmtime|sleep)"
    r"|datetime\.datetime\.(now|utcnow|today)|datetime\.date\.today"
    r"|secrets(\..+)?|uuid\.uuid[14]|os\.(urandom|getrandom)|random\.(?!Random$).+"
)
IMPURE_MODULES = frozenset(
    {"trio", "ssl", "socket", "sqlite3", "time", "random", "uuid", "secrets", "threading", "os", "subprocess", "net", "sim", "api"}
)
MACHINE_PATH = re.compile(r"(?<![\w.-])/(?:work|home|root|Users)/\w|\.\./shared")
TEXT_SUFFIXES = frozenset({".py", ".md", ".toml", ".sh", ".yml", ".yaml", ".json", ".html", ".css", ".js", ".txt", ".sql", ".cfg", ".ini"})
SKIPPED_FOLDERS = frozenset({".git", ".venv", "__pycache__", "node_modules", "build", "dist"})

Rule = Callable[[ast.Module], Iterator[str]]


def sources(*packages: str) -> dict[str, ast.Module]:
    """The syntax tree of every file of these packages, by path from the root."""
    files = sorted(file for package in packages for file in (ROOT / package).rglob("*.py"))
    return {file.relative_to(ROOT).as_posix(): parsed(file) for file in files}


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module", autouse=True)
def _forget_trees() -> Iterator[None]:
    """They are large, and nobody needs them once the rules have been applied."""
    yield
    parsed.cache_clear()


def imported_names(tree: ast.Module) -> dict[str, str]:
    """Local name to the full name that it stands for, for every import anywhere in the file."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = alias.name if alias.asname else alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def full_name(node: ast.expr, names: dict[str, str]) -> str | None:
    """What a dotted expression refers to, if it begins with an imported name."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        base = full_name(node.value, names)
        return None if base is None else f"{base}.{node.attr}"
    return None


def clocks_and_entropy(tree: ast.Module) -> Iterator[str]:
    """Time and chance come through their doors; `random.Random` is a type, never a generator of one's own."""
    names = imported_names(tree)
    for local, name in names.items():
        if BANNED_CALLS.fullmatch(name):
            yield f"imports {name} as {local}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name = full_name(node, names)
            if name is not None and BANNED_CALLS.fullmatch(name):
                yield f"line {node.lineno}: {name}"
        elif isinstance(node, ast.Call) and full_name(node.func, names) == "random.Random":
            yield f"line {node.lineno}: a generator outside the named streams"


def impure_imports(tree: ast.Module) -> Iterator[str]:
    """The domain imports nothing that does input or output, reads a clock or draws."""
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        for module in modules:
            if module.split(".")[0] in IMPURE_MODULES:
                yield f"imports {module}"


def handlers(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function named `on_…`."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("on_")]


def waiting_code(tree: ast.Module) -> Iterator[str]:
    """Nothing in the domain waits: handlers, and whatever they call, are plain functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield f"line {node.lineno}: {type(node).__name__}"


def queries_for_one_row(tree: ast.Module) -> Iterator[str]:
    """There is one way to read the row of an id, which also remembers it: `row`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Condition":
            told = [each.value for each in node.args if isinstance(each, ast.Constant)]
            if told[:2] == ["id", "="]:
                yield f"line {node.lineno}: asks for the row of one id by a query; use row"


def hooks_of_nobody(tree: ast.Module) -> Iterator[str]:
    """A method `on_…` handles a message, or overrides a hook that every actor has; one that does neither is never called."""
    for owner in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for node in handlers(ast.Module(owner.body, [])):
            if not node.decorator_list and not hasattr(Actor, node.name):
                yield f"{owner.name}.{node.name}: overrides nothing and handles nothing"


def missing_docstring(tree: ast.Module) -> Iterator[str]:
    """Each file says what lives in it."""
    if not ast.get_docstring(tree):
        yield "has no docstring"


def long_functions(tree: ast.Module) -> Iterator[str]:
    """A function fits on a screen."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{node.name}: {lines} lines"


def complaints(rule: Rule, trees: dict[str, ast.Module]) -> list[str]:
    return [f"{path}: {complaint}" for path, tree in trees.items() for complaint in rule(tree)]


@pytest.mark.parametrize(
    ("rule", "snippet"),
    [
        (clocks_and_entropy, "import time\nstarted = time.monotonic()"),
        (clocks_and_entropy, "import time as t\nstarted = t.perf_counter_ns()"),
        (clocks_and_entropy, "from time import time"),
        (clocks_and_entropy, "from datetime import datetime\nat = datetime.now()"),
        (clocks_and_entropy, "import datetime\nat = datetime.datetime.utcnow()"),
        (clocks_and_entropy, "from datetime import date as day\nat = day.today"),
        (clocks_and_entropy, "import random\nrandom.choice([1])"),
        (clocks_and_entropy, "import random\ngenerator = random.Random(1)"),
        (clocks_and_entropy, "from random import Random\ngenerator = Random()"),
        (clocks_and_entropy, "from random import SystemRandom"),
        (clocks_and_entropy, "import secrets"),
        (clocks_and_entropy, "from secrets import token_hex"),
        (clocks_and_entropy, "def f():\n    import uuid\n    return uuid.uuid4()"),
        (clocks_and_entropy, "import os\nkey = os.urandom(8)"),
        (impure_imports, "import trio"),
        (impure_imports, "from sqlite3 import connect"),
        (impure_imports, "def f():\n    import os.path"),
        (impure_imports, "from net.tls import x"),
        (waiting_code, "class A:\n    async def on_accept(self): ..."),
        (queries_for_one_row, 'ctx.query(Query("peer", ((Condition("id", "=", id),),)))'),
        (hooks_of_nobody, "class A:\n    def on_activate(self): ..."),
        (missing_docstring, "import re"),
        (missing_docstring, ""),
        (long_functions, "def f():\n" + "    pass\n" * FUNCTION_LINES_MAX),
    ],
)
def test_a_rule_notices_what_breaks_it(rule: Rule, snippet: str) -> None:
    assert list(rule(ast.parse(snippet)))


@pytest.mark.parametrize(
    ("rule", "snippet"),
    [
        (clocks_and_entropy, "import random\ndef f(chance: random.Random) -> float:\n    return chance.random()"),
        (clocks_and_entropy, "from datetime import datetime\nat = datetime.fromtimestamp(0)"),
        (clocks_and_entropy, "import os\nos.environ"),
        (impure_imports, "import timeit_like\nfrom runtime.random import Randomness"),
        (waiting_code, "class A:\n    def on_accept(self): ..."),
        (queries_for_one_row, 'ctx.query(Query("peer", ((Condition("id", ">", id), Condition("peer_id", "=", id)),)))'),
        (hooks_of_nobody, "class A:\n    @handles(B)\n    def on_b(self): ...\n    def on_activated(self): ..."),
        (missing_docstring, '"""What lives here."""'),
        (long_functions, "def f():\n" + "    pass\n" * (FUNCTION_LINES_MAX - 1)),
    ],
)
def test_a_rule_leaves_alone_what_keeps_it(rule: Rule, snippet: str) -> None:
    assert not list(rule(ast.parse(snippet)))


def test_time_and_chance_come_only_through_their_doors() -> None:
    trees = {path: tree for path, tree in sources(*PACKAGES).items() if path not in DOORS | CLOCK_EXCEPTIONS.keys()}
    assert complaints(clocks_and_entropy, trees) == []


def test_the_doors_and_exceptions_are_still_needed() -> None:
    trees = sources(*PACKAGES)
    assert [path for path in sorted(DOORS | CLOCK_EXCEPTIONS.keys()) if not list(clocks_and_entropy(trees[path]))] == []


def test_the_domain_is_pure() -> None:
    assert complaints(impure_imports, sources("actors")) == []


def test_handlers_are_plain_functions() -> None:
    trees = sources("actors")
    actors = {path: tree for path, tree in trees.items() if path.endswith("/actor.py")}
    assert any(handlers(tree) for tree in actors.values()), "the rule must have something to look at"
    assert complaints(waiting_code, trees) == []


def test_one_row_is_read_in_one_way() -> None:
    assert complaints(queries_for_one_row, sources("actors")) == []


def test_what_looks_like_a_hook_is_one() -> None:
    assert complaints(hooks_of_nobody, sources("actors")) == []


def test_every_file_begins_with_a_docstring() -> None:
    assert complaints(missing_docstring, sources(*PACKAGES)) == []


def test_functions_fit_on_a_screen() -> None:
    long = {f"{path}::{found.split(':')[0]}": found for path, tree in sources(*PACKAGES).items() for found in long_functions(tree)}
    assert [name for name in long if name not in LONG_FUNCTIONS] == []
    assert [name for name in LONG_FUNCTIONS if name not in long] == [], "no longer needed"


def text_files() -> Iterator[Path]:
    for file in ROOT.rglob("*"):
        folders = file.relative_to(ROOT).parts[:-1]
        if file.suffix in TEXT_SUFFIXES and file.is_file() and not any(f in SKIPPED_FOLDERS or f.endswith("_cache") for f in folders):
            yield file


@pytest.mark.parametrize("folder", ["work", "home", "root", "Users"])
def test_the_pattern_knows_a_machine_path(folder: str) -> None:
    assert MACHINE_PATH.search(f"see /{folder}/someone/notes.md")
    assert not MACHINE_PATH.search(f"https://example.org/{folder}/page and docs/{folder}/page")


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in text_files()
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []
