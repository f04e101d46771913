"""Promise 6: an altered journal is named, line by line. Each test changes one thing."""

import subprocess
import sys
from pathlib import Path

import pytest

from automations.journal import Entry, Journal
from automations.paths import Paths, prepare_logs
from tests.conftest import PROJECT

VERIFIER = PROJECT / "scripts" / "verify_log.py"


@pytest.fixture
def lines(tmp_path: Path) -> list[bytes]:
    """Five lines as the scheduler writes them."""
    paths = Paths(str(tmp_path))
    prepare_logs(paths)
    return Journal(paths).append(*(Entry("tick", {"number": number}) for number in range(5)))


def said(tmp_path: Path, content: bytes) -> str:
    """What the verifier prints about this content; empty when it is content."""
    file = tmp_path / "journal"
    file.write_bytes(content)
    done = subprocess.run([sys.executable, str(VERIFIER), str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == (0 if "the chain holds" in done.stdout else 1)
    return done.stdout.replace(str(file), "") if done.returncode else ""


def text(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def test_a_journal_as_it_was_written_holds(tmp_path: Path, lines: list[bytes]) -> None:
    assert said(tmp_path, text(lines)) == ""


def test_an_empty_journal_holds(tmp_path: Path) -> None:
    assert said(tmp_path, b"") == ""


def test_a_changed_line_is_named_by_the_one_after_it(tmp_path: Path, lines: list[bytes]) -> None:
    lines[2] = lines[2].replace(b'"number":2', b'"number":9')
    assert said(tmp_path, text(lines)).startswith(":4: does not follow line 3")


def test_a_removed_line_is_named_where_it_is_missing(tmp_path: Path, lines: list[bytes]) -> None:
    del lines[2]
    assert ":3: has seq 4, expected 3" in said(tmp_path, text(lines))


def test_a_line_that_was_slipped_in_is_named(tmp_path: Path, lines: list[bytes]) -> None:
    lines.insert(3, lines[2])
    assert ":4: has seq 3, expected 4" in said(tmp_path, text(lines))


def test_a_removed_beginning_is_named(tmp_path: Path, lines: list[bytes]) -> None:
    assert ":1: has seq 2, expected 1" in said(tmp_path, text(lines[1:]))


def test_a_line_that_is_not_json_is_named(tmp_path: Path, lines: list[bytes]) -> None:
    lines[1] = b"job output that strayed here"
    assert ":2: is not a JSON object" in said(tmp_path, text(lines))


@pytest.mark.parametrize("cut", [1, 17, 60])
def test_a_torn_last_line_is_named(tmp_path: Path, lines: list[bytes], cut: int) -> None:
    assert ":5: is torn" in said(tmp_path, text(lines)[:-cut])


def test_trailing_zero_bytes_of_a_power_cut_are_named(tmp_path: Path, lines: list[bytes]) -> None:
    assert ":6: is torn: 512 bytes" in said(tmp_path, text(lines) + b"\0" * 512)


def test_an_overlong_line_is_named(tmp_path: Path, lines: list[bytes]) -> None:
    lines[4] = lines[4].replace(b'"number":4', b'"number":"' + b"x" * 4096 + b'"')
    assert ":5: is 4" in said(tmp_path, text(lines))


def test_a_line_whose_first_keys_are_not_the_contracts_is_named(tmp_path: Path, lines: list[bytes]) -> None:
    lines[4] = b'{"a":1,' + lines[4][1:]
    assert ":5: does not begin with ts and event" in said(tmp_path, text(lines))


def test_it_shares_no_code_with_the_scheduler() -> None:
    assert "automations" not in VERIFIER.read_text().replace("run_automations", "")
