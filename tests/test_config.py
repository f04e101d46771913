"""`automations.toml` to Config: what a good file means, and every fault of a bad one named at once."""

import contextlib
import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from automations import config
from automations.config import duration
from automations.errors import ConfigError, Exit
from automations.model import CatchUp, Config, Job, OnStop, Overlap
from automations.paths import PROJECT

GOOD = b"""
# the night shift
[jobs.backup]
description = "Everything, off site"
schedule = "30 2 * * *"
timezone = "Europe/Zurich"
command = ["restic", "backup", "/srv"]
cwd = "work"
env = { LANG = "C.UTF-8", RESTIC_CACHE = "/var/cache" }
timeout = "1h30m"
grace = "6h"
enabled = false

[jobs.sync]
every = "15m"
command = "rsync -a a/ b/ && date"

[jobs.boot]
schedule = ["@reboot", "0 4 * * MON-FRI"]
command = ["true"]
"""


def parse(content: bytes | str) -> Config:
    raw = content if isinstance(content, bytes) else content.encode()
    return config.parse(raw, "automations.toml", "/home/user", "/opt/project")


def faults(content: bytes | str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(content)
    return caught.value.faults


def job(lines: str) -> Job:
    """The one job of a file; `lines` come on top of a schedule and a command."""
    return parse(f'[jobs.a]\nschedule = "* * * * *"\ncommand = ["true"]\n{lines}').jobs["a"]


def job_faults(lines: str) -> list[str]:
    return faults(f'[jobs.a]\nschedule = "* * * * *"\ncommand = ["true"]\n{lines}')


# What a good file means


def test_the_jobs_of_the_project_itself_are_good():
    found, _ = config.load(f"{PROJECT}/automations.toml", PROJECT)
    assert list(found.jobs) == ["brief", "report", "selfheal", "retention"]


def test_every_key_of_a_job_is_taken_over():
    assert parse(GOOD).jobs["backup"]._replace(schedule=None) == Job(
        name="backup",
        schedule=None,
        schedule_text="30 2 * * *",
        command=("restic", "backup", "/srv"),
        timeout=timedelta(hours=1, minutes=30),
        grace=timedelta(hours=6),
        cwd="/home/user/work",
        timezone="Europe/Zurich",
        env=(("LANG", "C.UTF-8"), ("RESTIC_CACHE", "/var/cache")),
        enabled=False,
        description="Everything, off site",
    )


def test_a_job_that_says_little_is_enabled_runs_in_the_project_and_has_an_hour():
    sync = parse(GOOD).jobs["sync"]
    assert (sync.enabled, sync.cwd, sync.timeout, sync.grace) == (True, "/opt/project", *[timedelta(hours=1)] * 2)


def test_the_jobs_keep_the_order_of_the_file():
    assert list(parse(GOOD).jobs) == ["backup", "sync", "boot"]


def test_a_schedule_counts_in_the_zone_of_its_job():
    after = parse(GOOD).jobs["backup"].schedule.after(datetime(2026, 1, 1, tzinfo=UTC))
    assert after == datetime(2026, 1, 1, 1, 30, tzinfo=UTC)


def test_a_schedule_without_a_zone_counts_in_utc():
    assert job("").schedule.after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "words"), [("backup", "30 2 * * *"), ("sync", "every 15m"), ("boot", "@reboot · 0 4 * * MON-FRI")]
)
def test_a_schedule_is_shown_in_the_words_of_the_file(name: str, words: str):
    assert parse(GOOD).jobs[name].schedule_text == words


def test_a_list_command_is_executed_as_it_stands_and_a_string_by_sh():
    jobs = parse(GOOD).jobs
    assert jobs["backup"].argv == ("restic", "backup", "/srv")
    assert jobs["sync"].argv == ("/bin/sh", "-c", "rsync -a a/ b/ && date")


@pytest.mark.parametrize(
    ("cwd", "means"), [("/srv", "/srv"), ("work", "/home/user/work"), ("~/x", str(Path("~/x").expanduser()))]
)
def test_a_relative_folder_starts_from_the_home(cwd: str, means: str):
    assert job(f'cwd = "{cwd}"').cwd == means


def test_the_same_bytes_have_the_same_hash_and_others_another_one():
    assert parse(GOOD).hash == parse(GOOD).hash != parse(GOOD + b"\n").hash


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "[jobs]\n"])
def test_a_file_without_jobs_is_good(content: str):
    assert parse(content).jobs == {}


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("6h", timedelta(hours=6)),
        ("30d", timedelta(days=30)),
        ("1h30m", timedelta(minutes=90)),
        ("1d1h1m1s", timedelta(days=1, hours=1, minutes=1, seconds=1)),
    ],
)
def test_a_duration_names_its_units(text: str, means: timedelta):
    assert duration(text) == means


@pytest.mark.parametrize(
    "value", ["", "0s", "5", "m", "5 m", " 5m", "5m ", "-5m", "1.5h", "5min", "367d", "9" * 5000 + "s", 5, 1.5, None]
)
def test_what_is_no_duration_is_refused_with_examples(value: object):
    with pytest.raises(ValueError, match='such as "90s", "6h" or "1h30m"'):
        duration(value)


# What a bad file is told


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ('timeot = "5m"', "jobs.a.timeot: unknown key; expected one of schedule every"),
        ("timeout = 300", "jobs.a.timeout: got 300; expected a duration"),
        ('grace = "soon"', "jobs.a.grace: got 'soon'; expected a duration"),
        ('timezone = "Mars/Olympus"', "jobs.a.timezone: got 'Mars/Olympus'; expected an IANA time zone"),
        ('timezone = "../../etc/passwd"', "jobs.a.timezone: got '../../etc/passwd'; expected an IANA time zone"),
        ('timezone = "Europe"', "jobs.a.timezone: got 'Europe'; expected an IANA time zone"),
        ('timezone = "."', "jobs.a.timezone: got '.'; expected an IANA time zone"),
        ('timezone = ""', "jobs.a.timezone: got ''; expected an IANA time zone"),
        ("timezone = 1", "jobs.a.timezone: got 1; expected an IANA time zone"),
        ('enabled = "yes"', "jobs.a.enabled: got 'yes'; expected true or false"),
        ("enabled = 1", "jobs.a.enabled: got 1; expected true or false"),
        ("description = []", "jobs.a.description: got []; expected a string"),
        ('cwd = "a\\u0000b"', "jobs.a.cwd: got 'a\\x00b'; expected a string without NUL"),
        ("env = []", "jobs.a.env: got []; expected a table of strings"),
        ("env = { A = 1 }", "jobs.a.env: got {'A': 1}; expected a table of strings"),
        ('env = { "A=B" = "1" }', "jobs.a.env: got {'A=B': '1'}; 'A=B' cannot be set; expected a name without '='"),
        ('env = { "" = "1" }', "jobs.a.env: got {'': '1'}; '' cannot be set"),
        ('env = { AUTOMATIONS_JOB = "b" }', "'AUTOMATIONS_JOB' cannot be set"),
        ('every = "5m"', "jobs.a: expected either schedule or every, got both"),
    ],
)
def test_a_fault_names_the_place_the_value_and_what_was_expected(lines: str, fault: str):
    (said,) = job_faults(lines)
    assert said.startswith("automations.toml: jobs.a")
    assert fault in said


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ('schedule = "61 * * * *"', "jobs.a.schedule: '61 * * * *': bad minute; expected minute 0-59, hour 0-23"),
        ('schedule = "* * *"', "jobs.a.schedule: '* * *': expected five fields: minute hour day-of-month month"),
        ('schedule = "0 * * * * *"', "jobs.a.schedule: '0 * * * * *': expected five fields"),
        ('schedule = "@often"', "jobs.a.schedule: '@often': expected one of @reboot @hourly @daily"),
        (
            'schedule = "0 0 30 2 *"',
            "jobs.a.schedule: '0 0 30 2 *': bad day-of-month or a date that never comes; expected",
        ),
        ('schedule = ["0 8 * * *", "x"]', "jobs.a.schedule: 'x': expected five fields"),
        ("schedule = []", "jobs.a.schedule: got []; expected a string such as"),
        ("schedule = 8", "jobs.a.schedule: got 8; expected a string such as"),
        ('schedule = " "', "jobs.a.schedule: got ' '; expected a string such as"),
        ('every = "500ms"', "jobs.a.every: got '500ms'; expected a duration"),
        ("", "jobs.a: expected either schedule or every, got neither"),
    ],
)
def test_a_bad_rule_is_one_fault_that_names_it(rule: str, fault: str):
    (said,) = faults(f'[jobs.a]\ncommand = ["true"]\n{rule}\n')
    assert said.startswith(f"automations.toml: {fault}")


@pytest.mark.parametrize("command", ["[]", '""', '" "', "[1]", '["a", 1]', '"a\\u0000"', '["", "a"]', "true", "{}"])
def test_a_command_that_cannot_be_executed_is_a_fault(command: str):
    (said,) = faults(f'[jobs.a]\nevery = "1h"\ncommand = {command}\n')
    assert "jobs.a.command: got" in said


def test_a_job_without_a_command_is_a_fault():
    assert faults('[jobs.a]\nevery = "1h"\n') == [
        "automations.toml: jobs.a.command: missing; expected a list of strings, or a string for sh -c"
    ]


@pytest.mark.parametrize("name", ["A", "a b", "-a", "_a", "é", "../a", "a/b", "a" * 65, ""])
def test_a_job_name_that_would_be_no_good_folder_is_a_fault(name: str):
    (said,) = faults(f'[jobs."{name}"]\nevery = "1h"\ncommand = "true"\n')
    assert f"jobs.{name}: bad name; expected a-z 0-9 _ - and at most 64 characters" in said


@pytest.mark.parametrize("name", ["a", "0", "night-shift_2", "a" * 64])
def test_a_job_name_of_plain_characters_is_good(name: str):
    assert list(parse(f'[jobs.{name}]\nevery = "1h"\ncommand = "true"\n').jobs) == [name]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("[job.a]\n", "job: unknown key; expected tables [jobs.NAME]"),
        ("jobs = 1\n", "jobs: got 1; expected tables [jobs.NAME]"),
        ("[[jobs]]\n", "jobs: got [{}]; expected tables [jobs.NAME]"),
        ("[jobs]\na = 1\n", "jobs.a: got 1; expected a table [jobs.a]"),
        ("[jobs.a\n", "not valid TOML: Expected ']'"),
        ("[jobs.a]\n[jobs.a]\n", "not valid TOML: Cannot declare ('jobs', 'a') twice"),
        ("a = " + "[" * 5000, "not valid TOML"),
    ],
)
def test_a_file_that_is_no_table_of_jobs_is_a_fault(content: str, fault: str):
    (said,) = faults(content)
    assert said.startswith(f"automations.toml: {fault}")


@pytest.mark.parametrize("content", [b"\xff\xfe[jobs]\n", b'[jobs.a]\ndescription = "\xe9"\n', b"\0"])
def test_a_file_that_is_not_utf8_toml_is_a_fault(content: bytes):
    (said,) = faults(content)
    assert said.startswith("automations.toml: not valid TOML")


def test_all_faults_of_a_file_are_reported_at_once():
    bad = """
    colour = "blue"
    [jobs.A]
    every = "1h"
    [jobs.b]
    schedule = "61 * * * *"
    comand = "true"
    timeout = 5
    [jobs.c]
    every = "1h"
    schedule = "* * * * *"
    command = "true"
    """
    assert [fault.split(":")[1].strip() for fault in faults(bad)] == [
        "colour",
        "jobs.A",
        "jobs.A.command",
        "jobs.b.comand",
        "jobs.b.timeout",
        "jobs.b.schedule",
        "jobs.b.command",
        "jobs.c",
    ]


def test_unknown_tables_are_named_in_the_order_of_the_file():
    names = [f"key{n}" for n in range(20)]
    assert [fault.split(":")[1].strip() for fault in faults("".join(f"{name} = 1\n" for name in names))] == names


def test_a_very_long_value_is_shown_shortened():
    (said,) = job_faults(f'timeout = "{"x" * 10_000}"')
    assert len(said) < 250


@pytest.mark.parametrize("value", ["9" * 5000, "0x" + "f" * 5000, "[" + "9" * 5000 + "]"])
def test_a_number_of_thousands_of_digits_is_a_fault_and_not_a_crash(value: str):
    assert len(job_faults(f"timeout = {value}")) == 1


def test_a_table_nested_thousands_deep_is_a_fault_and_not_a_crash():
    assert len(job_faults("env." + ".".join(["a"] * 5000) + " = 1")) == 1


# Reading the file


def test_the_bytes_that_were_judged_are_returned_with_the_config(tmp_path: Path):
    (tmp_path / "automations.toml").write_bytes(GOOD)
    found, content = config.load(str(tmp_path / "automations.toml"), PROJECT)
    assert (content, found.jobs["backup"].cwd) == (GOOD, str(tmp_path / "work"))


def test_a_missing_file_is_a_fault_that_says_what_to_do(tmp_path: Path):
    path = tmp_path / "automations.toml"
    with pytest.raises(ConfigError, match=f"{path}: not found; expected the job file; copy .*/automations.toml there"):
        config.load(str(path), PROJECT)


def test_a_folder_in_place_of_the_file_is_a_fault(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        config.load(str(tmp_path), PROJECT)


def test_a_refused_file_has_the_exit_code_of_a_bad_configuration(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        config.load(str(tmp_path / "automations.toml"), PROJECT)
    assert caught.value.exit_code == Exit.CONFIG == 78


def test_a_fault_of_a_loaded_file_names_the_file(tmp_path: Path):
    (tmp_path / "jobs.toml").write_bytes(b"x = 1\n")
    with pytest.raises(ConfigError, match=r"^jobs\.toml: x: unknown key"):
        config.load(str(tmp_path / "jobs.toml"), PROJECT)


# Whatever somebody makes of a good file

PIECES = [b"", b'"', b"]", b"[jobs.sync]", b"=", b"\n", b"\0", b"\xff", b"0", b"-1", b"true", b"[]", b"{}", b"#", b"."]
PIECES += [b"@", b"*/0", b"1e999", b"nan", b"1979-05-27", b'""', b"'''", b"\\u0000", "✓".encode(), b"A", b" ", b"{a=1}"]


def verdict(content: bytes) -> dict[str, Job] | list[str]:
    """The jobs of a good file, the faults of a bad one."""
    try:
        return parse(content).jobs
    except ConfigError as error:
        return error.faults


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """The good file with one to four pieces of it replaced."""
    content = GOOD
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        cut = draw(st.integers(0, 12))
        content = content[:start] + draw(st.sampled_from(PIECES)) + content[start + cut :]
    return content


@settings(max_examples=300, deadline=None)
@example(GOOD.replace(b"30 2 * * *", b"30 2 L * 5#6"))
@example(GOOD.replace(b"30 2 * * *", b"30 2 LW/2 * \xc2\xb2L"))
@given(mutated())
def test_a_mutated_file_is_good_or_refused_with_reasons_and_never_a_crash(content: bytes):
    assert verdict(content) != []


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "ignore")))
def test_any_bytes_are_good_or_refused(content: bytes):
    assert verdict(content) != []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from("*0123456789/-,#LW?@ abMONJAN²"), max_size=20).map("".join))
def test_any_cron_text_is_good_or_refused(expression: str):
    found = verdict(f"[jobs.a]\ncommand = 'true'\nschedule = '{expression}'\n".encode())
    assert len(found) == 1


# The keys about what happens when things do not go as planned


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ('env_file = "secrets"', "env_file", "/home/user/secrets"),
        ("retries = 3", "retries", 3),
        ("retries = 1\nbackoff = '2m'", "backoff", timedelta(minutes=2)),
        ("overlap = 'queue'", "overlap", Overlap.QUEUE),
        ("catch_up = 'all'", "catch_up", CatchUp.ALL),
        ("catch_up_window = '2d'", "catch_up_window", timedelta(days=2)),
        ("on_stop = 'leave'", "on_stop", OnStop.LEAVE),
        ("jitter = '5m'", "jitter", timedelta(minutes=5)),
        ("group = 'disk'", "group", "disk"),
        ("ok_exit_codes = [0, 24]", "ok_exit_codes", (0, 24)),
        ("max_output = '1MiB'", "max_output_bytes", 1024 * 1024),
        ("timezone = 'Asia/Tokyo'", "timezone", "Asia/Tokyo"),
    ],
)
def test_a_key_is_taken_over(line: str, field: str, value: object):
    assert getattr(job(line), field) == value


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("retries = -1", "retries: got -1; expected a whole number from 0 to 20"),
        ("retries = true", "retries: got True; expected a whole number"),
        ("retries = 1.5", "expected a whole number"),
        ("overlap = 'wait'", "overlap: got 'wait'; expected one of skip queue allow"),
        ("catch_up = 1", "expected one of latest all none"),
        ("on_stop = 'kill'", "expected one of terminate leave"),
        ("group = 'A B'", "group: got 'A B'; expected a name"),
        ("ok_exit_codes = []", "expected a list of exit codes"),
        ("ok_exit_codes = [256]", "expected a list of exit codes"),
        ("ok_exit_codes = 0", "expected a list of exit codes"),
        ("max_output = '10'", "expected a size from 64KiB to 1GiB"),
        ("max_output = '1KiB'", "expected a size from 64KiB to 1GiB"),
        ("max_output = '2GiB'", "expected a size from 64KiB to 1GiB"),
        ("jitter = 5", "expected a duration"),
        ("backoff = '1m'", "backoff: means nothing without retries"),
        ("catch_up = 'none'\ncatch_up_window = '1h'", "catch_up_window: means nothing"),
        ("overlap = 'allow'\ngroup = 'g'", "contradicts group"),
    ],
)
def test_a_bad_value_is_refused_with_what_was_expected(line: str, words: str):
    (fault,) = job_faults(line)
    assert fault.startswith("automations.toml: jobs.a.")
    assert words in fault


# Files that went wrong

FULL = """
[jobs.backup]
description = "Everything, off site"
schedule = ["30 2 * * *", "@reboot"]
timezone = "Europe/Zurich"
command = ["restic", "backup", "/srv"]
cwd = "work"
env = { LANG = "C.UTF-8" }
env_file = "secrets"
timeout = "1h30m"
grace = "6h"
retries = 3
backoff = "1m"
overlap = "queue"
catch_up = "all"
catch_up_window = "12h"
on_stop = "leave"
jitter = "5m"
group = "disk"
ok_exit_codes = [0, 3]
max_output = "1MiB"
enabled = true

[jobs.sync]
every = "15m"
command = "rsync -a a/ b/ && date"
"""
VALUES = [
    "-1",
    "[]",
    "{}",
    "''",
    "'x'",
    "1e400",
    "nan",
    "2026-11-22",
    "[[1]]",
    "'\\u0000'",
    "'99999999999d'",
    "true",
    "'* *'",
]


def mutated(dice: random.Random) -> str:
    """The full file with one thing wrong, or two."""
    lines = FULL.strip().split("\n")
    for _ in range(dice.randint(1, 2)):
        place = dice.randrange(len(lines))
        line = lines[place]
        key = line.partition(" = ")[0]
        lines[place] = dice.choice(
            [
                f"{key} = {dice.choice(VALUES)}" if " = " in line else line + "x]",
                f"{key}{dice.choice('xyz')} = 1" if " = " in line else line[:-1],
                line[: dice.randrange(len(line) + 1)] if line else "stray",
                line + "\n" + line,
                line.replace("jobs", dice.choice(["job", "jobs.UPPER", "jobs.a.b"])),
                dice.choice(["\x00", "[jobs]", "x = 1", "= 3", "[[jobs.sync]]", '"', "\ufeff"]) + line,
            ]
        )
    return "\n".join(lines)


def test_300_files_that_went_wrong_are_refused_naming_the_place():
    dice, refused = random.Random(300), 0
    while refused < 300:
        text = mutated(dice)
        try:
            parse(text)
        except ConfigError as error:
            refused += 1
            for fault in error.faults:
                place = re.match(
                    r"automations\.toml: (jobs[.:]|not valid TOML: .*(line \d+|end of document)|[\w-]+: )", fault
                )
                assert place, f"{fault}\n{text}"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(content: bytes):
    with contextlib.suppress(ConfigError):
        parse(content)
