"""A crontab becomes a job file: what is carried over, what is not, and that nothing vanishes without a word."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automations import config, crontab
from automations.model import Job

REAL = """\
# Edit this file to introduce tasks to be run by cron.
#
SHELL=/bin/bash
PATH = "/usr/local/bin:/usr/bin:/bin"
MAILTO=admin@example.org

# Nightly backup,
# off site
30 2 * * *\tcd /srv/app && ./backup.sh --to "s3://bucket/a b" >> /var/log/backup.log 2>&1
#0 5 * * 1 tar -zcf /var/backups/home.tgz /home/

*/15 * * * MON-FRI /usr/bin/php /srv/app/cron.php
@daily     certbot renew --quiet
@reboot    sleep 30 && /opt/agent/start
0 9 1 JAN,jul * echo "half a year"%one%two \\% done
"""


def jobs(text: str, **more: object) -> dict[str, Job]:
    """The jobs that the made file has when it is read as any job file."""
    made = crontab.convert(text, **more)
    return config.parse(made.toml.encode(), "automations.toml", "/home/user", "/opt/project").jobs


def only(text: str, **more: object) -> Job:
    (found,) = jobs(text, **more).values()
    return found


def notes(text: str, **more: object) -> str:
    return "\n".join(crontab.convert(text, **more).notes)


def test_a_real_crontab_becomes_a_good_job_file():
    assert list(jobs(REAL)) == ["backup", "tar", "cron", "certbot", "start", "echo"]


def test_the_comment_above_an_entry_describes_it():
    assert jobs(REAL)["backup"].description == "Nightly backup, off site"


def test_an_entry_that_is_commented_out_is_a_disabled_job():
    assert (jobs(REAL)["tar"].enabled, jobs(REAL)["tar"].schedule_text) == (False, "0 5 * * 1")


def test_a_comment_that_only_looks_like_an_entry_is_a_comment():
    assert jobs("# m h dom mon dow command\n") == {}


def test_variables_hold_for_what_follows_them():
    found = jobs("0 1 * * * first\nA=1\n0 2 * * * second\nA=2\n0 3 * * * third\n")
    assert [dict(job.env) for job in found.values()] == [{}, {"A": "1"}, {"A": "2"}]


@pytest.mark.parametrize("line", ["A=b c", "A = b c", 'A="b c"', "A='b c'", '"A"="b c"', "A=b c   "])
def test_a_variable_may_be_quoted_and_spaced(line: str):
    assert dict(only(f"{line}\n0 1 * * * x\n").env) == {"A": "b c"}


def test_another_shell_runs_the_command():
    assert only("SHELL=/bin/bash\n0 1 * * * echo $RANDOM\n").command == ("/bin/bash", "-c", "echo $RANDOM")


def test_jobs_begin_in_the_home_folder_as_under_cron():
    assert only("0 1 * * * x\n").cwd == str(Path("~").expanduser())
    assert only("HOME=/srv\n0 1 * * * x\n").cwd == "/srv"


def test_the_zone_of_the_machine_goes_into_each_job():
    assert only("0 1 * * * x\n", timezone="Europe/Zurich").timezone == "Europe/Zurich"


@pytest.mark.parametrize(
    "word", ["@reboot", "@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"]
)
def test_words_for_schedules_are_the_same_here(word: str):
    assert only(f"{word} x\n").schedule_text == word


def test_the_user_of_a_system_crontab_is_dropped_with_a_word():
    text = "17 * * * * root cd / && run-parts /etc/cron.hourly\n"
    assert only(text, system=True).command == "cd / && run-parts /etc/cron.hourly"
    assert "its user is not carried over" in notes(text, system=True)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("61 * * * * x", "bad minute"),
        ("0 0 30 2 * x", "never comes"),
        ("@fortnightly x", "expected one of"),
        ("0~30 * * * * x", "bad"),
        ("just some words", "expected five fields"),
        ("0 1 * * *", "expected five fields"),
        ("@reboot x", "each start of the scheduler"),
        ("MAILTO=me\n0 1 * * * x", "nothing is mailed"),
        ("CRON_TZ=Asia/Tokyo\n0 1 * * * x", "does not schedule by it"),
        ("PATH=$HOME/bin\n0 1 * * * x", "does not expand"),
    ],
)
def test_what_is_not_as_it_was_is_said(line: str, word: str):
    assert word in notes(line)


def test_an_empty_mailto_needs_no_word():
    assert "MAILTO" not in notes('MAILTO=""\n0 1 * * * x\n')


def test_a_refused_line_is_kept_as_a_comment_with_its_number():
    made = crontab.convert("0 1 * * * good\n61 * * * * bad\n")
    assert "# line 2, not carried over: 61 * * * * bad" in made.toml
    assert made.notes[-1].startswith("line 2: ")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/local/bin/backup.sh --all", "backup"),
        ("cd /srv/app && ./sync_notes.py", "sync_notes"),
        ("FOO=bar nice -n 10 rsync -a x y", "rsync"),
        ("python3 -m foo.bar", "foo-bar"),
        ("flock -n /tmp/l /opt/job", "l"),
        ("!!", "job"),
    ],
)
def test_a_job_is_named_after_what_it_runs(command: str, name: str):
    assert list(jobs(f"0 1 * * * {command}\n")) == [name]


def test_names_are_unique():
    assert list(jobs("0 1 * * * x\n0 2 * * * x\n0 3 * * * x\n")) == ["x", "x-2", "x-3"]


def printed(command: str) -> str:
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True, timeout=10).stdout


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("cat%hello", "hello\n"),
        ("cat%one%two", "one\ntwo\n"),
        (r"echo 100\%", "100%\n"),
        (r"cat%it's \% and % \% more", "it's % and \n % more\n"),
        ("cat; echo end%in", "in\nend\n"),
        ("cat %", "\n"),
        ("cat # a comment%in", "in\n"),
    ],
)
def test_percent_signs_make_the_input_that_cron_would_make(command: str, output: str):
    assert printed(str(only(f"0 1 * * * {command}\n").command)) == output


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r", ""])
def test_lines_may_end_as_they_like(ending: str):
    assert list(jobs(f"0 1 * * * a{ending}")) == ["a"]


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text_makes_a_file_that_loads(text: str):
    jobs(text)


lines = st.sampled_from(["0 1 * * * ", "@daily ", "A=", "# ", "#0 1 * * * ", "*/5 * * * 7 root ", "SHELL=", "HOME="])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(lines, st.text(max_size=30)), max_size=6), st.booleans())
def test_any_lines_make_a_file_that_loads(parts: list[tuple[str, str]], system: bool):
    jobs("\n".join(start + rest for start, rest in parts), system=system)


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.characters(exclude_characters="%\r\n\\\0", exclude_categories=["Cs"]), min_size=1)
    .map(str.strip)
    .filter(bool)
)
def test_a_command_is_carried_over_character_by_character(command: str):
    assert only(f"0 1 * * * {command}\n").command == command
