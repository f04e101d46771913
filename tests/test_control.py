"""How the faces call the script: `control.call` against small scripts that are real processes."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from automations import control
from automations.control import Answer, ScriptFailed, ScriptSilent
from automations.locks import Identity
from automations.paths import Paths
from tests.conftest import until

MakeDoor = Callable[[str], Paths]


@pytest.fixture
def door(tmp_path: Path) -> MakeDoor:
    """Make a door that does this; returns the paths that lead to it."""
    (tmp_path / "project" / "scripts").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    paths = Paths(str(tmp_path / "home"), str(tmp_path / "project"))

    def made(script: str) -> Paths:
        Path(paths.door).write_text(script)
        return paths

    return made


def test_the_answer_is_the_exit_code_and_the_object_that_was_printed(door: MakeDoor) -> None:
    paths = door("""echo '{"ok":false,"error":"busy"}'; exit 75""")
    assert control.call(paths, "start") == Answer(75, {"ok": False, "error": "busy"})


def test_the_script_gets_its_words_as_they_are_and_the_home(door: MakeDoor) -> None:
    paths = door("""printf '{"words":"%s|%s|%s","home":"%s"}' "$1" "$2" "$3" "$AUTOMATIONS_HOME" """)
    said = control.call(paths, "run", "--", "a b; $(id) *").said
    assert said == {"words": "run|--|a b; $(id) *", "home": paths.home}


def test_the_script_needs_no_execute_permission_and_cannot_wait_for_input(door: MakeDoor) -> None:
    paths = door("""cat; echo '{"ok":true}'""")
    assert control.call(paths, "start", guard_s=5) == Answer(0, {"ok": True})


def test_words_on_stderr_do_not_spoil_the_answer(door: MakeDoor) -> None:
    paths = door("""echo 'warning: no space' >&2; echo '{"ok":true}'""")
    assert control.call(paths, "stop").said == {"ok": True}


def test_an_answer_of_any_size_comes_through(door: MakeDoor) -> None:
    paths = door("""printf '{"ok":true,"long":"'; head -c 1000000 /dev/zero | tr '\\0' x; head -c 1000000 /dev/zero >&2
    echo '"}'""")
    assert len(str(control.call(paths, "start", guard_s=10).said["long"])) == 1_000_000


NONSENSE = [
    "",
    "exit 3",
    "kill -9 $$",
    "echo OK",
    "echo null",
    "echo '[{}]'",
    "printf '\\377\\376'",
    """echo '{"ok":true}{"ok":true}'""",
    """echo '{"ok":true'""",
    "head -c 200000 /dev/zero | tr '\\0' '['",
]


@pytest.mark.parametrize("script", NONSENSE)
def test_anything_but_one_json_object_is_a_failure_that_names_the_command(door: MakeDoor, script: str) -> None:
    with pytest.raises(ScriptFailed, match=r"run_automations\.sh run -- brief did not answer in JSON"):
        control.call(door(script), "run", "--", "brief")


def test_a_failure_tells_the_end_of_what_was_heard(door: MakeDoor) -> None:
    with pytest.raises(ScriptFailed, match="no Python here"):
        control.call(door("echo half an answer; echo 'no Python here' >&2; exit 69"), "start")
    with pytest.raises(ScriptFailed, match=r"x{400}\\xff$") as failure:
        control.call(door("head -c 100000 /dev/zero | tr '\\0' x; printf '\\377'"), "start")
    assert len(str(failure.value)) < 1000


def test_a_missing_script_is_a_failure_that_names_it(door: MakeDoor) -> None:
    paths = door("")
    os.unlink(paths.door)
    with pytest.raises(ScriptFailed, match=r"scripts/run_automations\.sh"):
        control.call(paths, "start")


def test_the_guard_is_thirty_seconds_unless_told_otherwise() -> None:
    assert control.GUARD_S == 30
    assert (control.call.__kwdefaults__ or {}) == {"guard_s": 30}


def test_a_silent_script_is_ended_with_all_that_it_waits_for(door: MakeDoor) -> None:
    paths = door("""trap '' TERM HUP INT; sleep 60 & echo $! $$ >"$AUTOMATIONS_HOME/pids"; wait""")
    began = time.monotonic()
    with pytest.raises(ScriptSilent, match=r"run_automations\.sh start gave no answer in 0\.5 s"):
        control.call(paths, "start", guard_s=0.5)
    assert time.monotonic() - began < 5
    until(lambda: not [pid for pid in pids_in(paths) if Identity.of(pid)], 5, "the script's group has ended")
    assert len(pids_in(paths)) == 2


def test_half_an_answer_and_then_silence_is_silence(door: MakeDoor) -> None:
    with pytest.raises(ScriptSilent):
        control.call(door("""printf '{"ok":'; exec sleep 60"""), "start", guard_s=0.3)


def test_the_guard_holds_when_a_process_out_of_reach_keeps_the_pipe(door: MakeDoor) -> None:
    """A daemon that left the session and inherited stdout must not hold a thread of the API for as long as it lives."""
    paths = door("""setsid sleep 6 & echo $! >"$AUTOMATIONS_HOME/pids"; exec sleep 6""")
    began = time.monotonic()
    try:
        with pytest.raises(ScriptSilent):
            control.call(paths, "start", guard_s=0.5)
        assert time.monotonic() - began < 3
    finally:
        _end(pids_in(paths))


def test_an_answer_counts_even_if_a_process_out_of_reach_keeps_the_pipe(door: MakeDoor) -> None:
    paths = door("""setsid sleep 6 & echo $! >"$AUTOMATIONS_HOME/pids"; echo '{"ok":true,"pid":1}'""")
    try:
        assert control.call(paths, "start", guard_s=3) == Answer(0, {"ok": True, "pid": 1})
    finally:
        _end(pids_in(paths))


def test_a_signal_to_our_own_group_does_not_reach_the_script(door: MakeDoor) -> None:
    said = control.call(door("""echo "{\\"group\\":$(cut -d' ' -f5 /proc/$$/stat),\\"pid\\":$$}" """), "start").said
    assert said["group"] == said["pid"] != os.getpgid(0)


def test_the_real_door_answers_where_nothing_was_ever_started(tmp_path: Path) -> None:
    paths = Paths(str(tmp_path))
    assert control.call(paths, "status") == Answer(3, {"running": False, "pid": None, "last_activity": None})
    assert control.call(paths, "stop").said["ok"] is True


def pids_in(paths: Paths) -> list[int]:
    return [int(word) for word in Path(paths.home, "pids").read_text().split()]


def _end(pids: list[int]) -> None:
    for pid in pids:
        if Identity.of(pid):
            os.kill(pid, signal.SIGKILL)
