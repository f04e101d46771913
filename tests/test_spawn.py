"""Variables from a file, read at each run."""

from pathlib import Path

import pytest

from automations.spawn import read_env_file


def read(folder: Path, text: str) -> dict[str, str]:
    (folder / "env").write_text(text)
    return read_env_file(str(folder / "env"))


@pytest.mark.parametrize(
    "line", ["A=b c", "A = b c", "export A=b c", "A='b c'", 'A="b c"', "# first\n\nA=b c", "A=b c\r", "  A=b c  "]
)
def test_a_line_is_a_variable(tmp_path: Path, line: str):
    assert read(tmp_path, line) == {"A": "b c"}


def test_a_value_may_contain_anything_else(tmp_path: Path):
    assert read(tmp_path, "A=b=c#d'e\nB=\n") == {"A": "b=c#d'e", "B": ""}


@pytest.mark.parametrize("line", ["A", "=b", "1A=b", "A B=c", "AUTOMATIONS_HOME=/x", "A-B=c"])
def test_another_line_is_refused_by_its_number_and_never_shown(tmp_path: Path, line: str):
    with pytest.raises(ValueError, match=r"env:2: expected NAME=value") as caught:
        read(tmp_path, f"GOOD=1\n{line} s3cret\n")
    assert "s3cret" not in str(caught.value)
