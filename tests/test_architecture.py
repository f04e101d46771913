"""Who may know whom: arrows point down only, and what lives for months keeps out of memory what it does not need."""

import ast
import importlib
import inspect
import json
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path

import pytest

from automations.paths import PROJECT

ROOT = Path(PROJECT)
FACES = {"scripts", "server", "tui"}
SERVER_LIBRARIES = {"bottle", "waitress"}


def sources(*folders: str) -> list[str]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [str(path.relative_to(ROOT)) for path in found]


CORE = sources("automations")
PRODUCT = [*CORE, *sources("scripts", "tui"), "server.py"]


@cache
def imported(source: str) -> set[str]:
    """The modules that a file imports, anywhere in it, by their full names."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / source).read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: a relative import hides where the arrow points"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def packages(source: str) -> set[str]:
    return {name.split(".")[0] for name in imported(source)}


# Arrows


def test_there_is_something_to_look_at():
    assert {"automations/plan.py", "automations/journal.py", "scripts/watchdog.py", "server.py"} <= set(PRODUCT)


@pytest.mark.parametrize("source", CORE)
def test_the_core_imports_no_face_and_no_face_s_library(source: str):
    assert not packages(source) & (FACES | SERVER_LIBRARIES | {"textual"})


@pytest.mark.parametrize("source", PRODUCT)
def test_a_face_imports_no_other_face(source: str):
    own = source.split("/")[0].removesuffix(".py")
    assert not packages(source) & (FACES - {own})


@pytest.mark.parametrize("source", PRODUCT)
def test_bottle_and_waitress_are_known_to_the_server_alone(source: str):
    assert source == "server.py" or not packages(source) & SERVER_LIBRARIES


@pytest.mark.parametrize("source", PRODUCT)
def test_textual_is_known_to_the_terminal_dashboard_alone(source: str):
    assert source.startswith("tui/") or "textual" not in packages(source)


@pytest.mark.parametrize("source", sources("tui"))
def test_the_terminal_dashboard_stands_on_the_core_and_five_libraries(source: str):
    libraries = {"textual", "rich", "psutil", "watchfiles", "msgspec"}
    assert packages(source) <= {"tui", "automations"} | libraries | sys.stdlib_module_names


@pytest.mark.parametrize("source", ["lines", "pages", "reader", "words"])
def test_what_lines_say_and_where_a_reader_is_knows_no_screen(source: str):
    assert not packages(f"tui/{source}.py") & {"textual", "rich", "asyncio", "os"}


@pytest.mark.parametrize("source", PRODUCT)
def test_the_product_does_not_know_its_tests(source: str):
    assert not packages(source) & {"tests", "pytest", "hypothesis", "time_machine"}


@pytest.mark.parametrize("rule", ["plan", "schedule", "model", "waiting", "forecast", "crontab", "contract", "guesses"])
def test_rules_know_no_clock_no_disk_and_no_process(rule: str):
    source = f"automations/{rule}.py"
    assert not packages(source) & {"os", "time", "io", "pathlib", "subprocess", "signal", "json", "sys"}
    assert not imported(source) & {f"automations.{effect}" for effect in ("files", "journal", "process", "runner")}


def test_the_verifier_shares_no_code_with_the_scheduler():
    assert packages("scripts/verify_log.py") <= sys.stdlib_module_names | {"cronsim"}


def test_the_scheduler_does_not_know_the_history():
    assert not modules_of_the_scheduler() & {
        f"automations.{name}" for name in ("api", "desk", "gate", "history", "host", "indexing", "metrics", "overview")
    }


@pytest.mark.parametrize("source", CORE)
def test_what_measures_the_machine_and_what_writes_metrics_are_one_module_each(source: str):
    assert source == "automations/host.py" or "psutil" not in packages(source)
    assert source == "automations/metrics.py" or "prometheus_client" not in packages(source)


# Memory


def loaded(code: str, *options: str) -> set[str]:
    """The modules that a fresh, isolated Python has in memory after it ran `code`."""
    begin = f"import sys; sys.path.insert(0, {PROJECT!r})\n"
    end = "\nbefore = list(sys.modules)\nimport json\nprint(json.dumps(before))"
    command = [sys.executable, "-I", *options, "-c", begin + code + end]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return set(json.loads(done.stdout))


AT_WORK = f"""
import scripts.exec_scheduler
from automations import clock, config, plan
from automations.journal import Entry, encode
jobs = config.load({PROJECT + "/automations.toml"!r}, {PROJECT!r})[0].jobs
agenda = plan.Agenda(jobs, clock.read().utc)
encode(Entry("tick", {{"next": {{name: clock.iso(due) for name, due in agenda.upcoming().items() if due}}}}), 1, "")
"""
HEAVY = "asyncio psutil watchfiles bottle waitress textual dataclasses inspect hashlib subprocess threading logging"
HEAVY += " sqlite3 pathlib argparse traceback tempfile random socket ssl http email ctypes importlib.resources"


@cache
def modules_of_the_scheduler() -> set[str]:
    return loaded(AT_WORK)


@cache
def modules_of_the_watchdog() -> set[str]:
    return loaded("import scripts.watchdog", "-S")


@pytest.mark.parametrize("module", HEAVY.split())
def test_the_scheduler_at_work_has_not_loaded(module: str):
    assert module not in modules_of_the_scheduler()


@pytest.mark.parametrize("module", [*HEAVY.split(), "json", "enum", "re", "typing", "collections", "signal"])
def test_the_watchdog_has_not_loaded(module: str):
    assert module not in modules_of_the_watchdog()


def test_the_watchdog_loads_no_more_of_the_core_than_it_lives_on():
    ours = {name for name in modules_of_the_watchdog() if name.startswith("automations.")}
    assert ours == {f"automations.{name}" for name in ("errors", "files", "locks", "paths")}


# Names


def ours_of_textual() -> list[type]:
    """Every class of the terminal dashboard that has a base class of Textual's."""
    found = []
    for source in sources("tui"):
        module = importlib.import_module(source.removesuffix(".py").replace("/", "."))
        for value in vars(module).values():
            is_ours = isinstance(value, type) and value.__module__ == module.__name__
            if is_ours and any(base.__module__.startswith("textual.") for base in value.__mro__):
                found.append(value)
    return found


def private_names(cls: type) -> set[str]:
    """What a class, itself, calls its own: methods, class variables, and what its methods set on `self`."""
    names = set(vars(cls))
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(cls)))):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            names.add(node.attr)
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


SET_BY_TEXTUAL = {  # by its metaclass and decorators, on every class
    "_reactives",
    "_computes",
    "_merged_bindings",
    "_inherit_bindings",
    "_inherit_css",
    "_inherit_component_classes",
    "_css_type_name",
    "_css_type_names",
    "_css_bases",
    "_decorated_handlers",
    "_abc_impl",
}
MEANT = {"Dashboard": {"_watch_theme"}}  # calls the one it stands for


@pytest.mark.parametrize("cls", ours_of_textual(), ids=lambda cls: cls.__name__)
def test_no_private_name_of_ours_hides_one_of_textual_s(cls: type):
    bases = [base for base in cls.__mro__ if base.__module__.startswith("textual.")]
    theirs = set().union(*map(private_names, bases)) - SET_BY_TEXTUAL
    assert private_names(cls) & theirs <= MEANT.get(cls.__name__, set())
