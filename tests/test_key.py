"""The key of the control API: from the environment or `.env`, made once, readable by its owner only."""

import os
from pathlib import Path

import pytest

from automations import key
from automations.errors import AutomationsError
from automations.paths import Paths


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.delenv(key.NAME, raising=False)
    return Paths(str(tmp_path))


def env_file(paths: Paths, content: str, mode: int = 0o600) -> Path:
    file = Path(paths.key_file)
    file.write_text(content)
    file.chmod(mode)
    return file


def test_without_a_file_there_is_no_key(paths: Paths):
    assert key.load(paths) == ""


def test_the_environment_comes_first(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    env_file(paths, "DASHBOARD_KEY=file\n")
    monkeypatch.setenv("DASHBOARD_KEY", "environment")
    assert key.load(paths) == "environment"


def test_an_empty_variable_is_no_key(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    env_file(paths, "DASHBOARD_KEY=file\n")
    monkeypatch.setenv("DASHBOARD_KEY", "")
    assert key.load(paths) == "file"


@pytest.mark.parametrize(
    "content",
    [
        "DASHBOARD_KEY=k3y=",
        "DASHBOARD_KEY=k3y=\n",
        "DASHBOARD_KEY=k3y=\r\n",
        "  DASHBOARD_KEY = k3y= \n",
        "export DASHBOARD_KEY=k3y=\n",
        'DASHBOARD_KEY="k3y="\n',
        "DASHBOARD_KEY='k3y='\n",
        "# the key\nOTHER=1\n\nDASHBOARD_KEY=k3y=\nMORE=2\n",
    ],
)
def test_the_key_is_found_among_the_lines_of_the_file(paths: Paths, content: str):
    env_file(paths, content)
    assert key.load(paths) == "k3y="


@pytest.mark.parametrize("content", ["", "OTHER=1\n", "#DASHBOARD_KEY=x\n", "DASHBOARD_KEY\n", "XDASHBOARD_KEY=x\n"])
def test_a_file_without_the_key_gives_none(paths: Paths, content: str):
    env_file(paths, content)
    assert key.load(paths) == ""


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620, 0o602])
def test_a_file_that_others_may_read_or_change_is_refused_with_the_remedy(paths: Paths, mode: int):
    file = env_file(paths, "DASHBOARD_KEY=k\n", mode)
    with pytest.raises(AutomationsError, match=f"mode {mode:o}; expected 600; next: chmod 600 {file}"):
        key.load(paths)


def test_a_key_is_made_once_and_its_place_is_told(paths: Paths):
    place = f"DASHBOARD_KEY in {paths.key_file}"
    assert (key.ensure(paths), key.ensure(paths)) == (f"{place}, made just now", place)


def test_the_key_itself_is_never_told(paths: Paths):
    said = key.ensure(paths) + key.ensure(paths)
    assert key.load(paths) not in said


def test_a_made_key_is_long_random_and_found_again(paths: Paths, tmp_path: Path):
    other = Paths(str(tmp_path / "other"))
    Path(other.home).mkdir()
    key.ensure(paths)
    key.ensure(other)
    assert len(key.load(paths)) >= 40
    assert key.load(paths) != key.load(other)


def test_a_made_key_is_readable_by_its_owner_only(paths: Paths):
    before = os.umask(0)
    try:
        key.ensure(paths)
    finally:
        os.umask(before)
    assert Path(paths.key_file).stat().st_mode & 0o777 == 0o600


def test_no_key_is_made_when_the_environment_has_one(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DASHBOARD_KEY", "environment")
    assert key.ensure(paths) == "DASHBOARD_KEY from the environment"
    assert not Path(paths.key_file).exists()


@pytest.mark.parametrize("content", ["OTHER=1\n", "OTHER=1", "# no newline at the end"])
def test_the_other_lines_of_the_file_are_kept(paths: Paths, content: str):
    file = env_file(paths, content)
    key.ensure(paths)
    assert file.read_text().split("\n")[0] == content.strip()


@pytest.mark.parametrize("content", ["OTHER=1", "DASHBOARD_KEY=\n", "DASHBOARD_KEY=''", "DASHBOARD_KEY=\nOTHER=1"])
def test_a_made_key_is_found_whatever_the_file_said_before(paths: Paths, content: str):
    env_file(paths, content)
    key.ensure(paths)
    assert len(key.load(paths)) == 43


def test_no_key_is_written_into_a_file_that_others_may_read(paths: Paths):
    file = env_file(paths, "OTHER=1\n", 0o644)
    with pytest.raises(AutomationsError):
        key.ensure(paths)
    assert file.read_text() == "OTHER=1\n"


def test_a_link_in_place_of_the_file_is_refused_and_what_it_names_is_untouched(paths: Paths, tmp_path: Path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    precious.chmod(0o600)
    Path(paths.key_file).symlink_to(precious)
    with pytest.raises((AutomationsError, OSError)):
        key.ensure(paths)
    assert precious.read_text() == "mine"
