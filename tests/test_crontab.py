"""A crontab becomes a job file: what is carried over, what is not, and that nothing vanishes without a word."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from automations import config, crontab
from automations.model import Job

REAL = """\
# Edit this file to introduce tasks to be run by cron.
#
# For example, you can run a backup of all your user accounts
# at 5 a.m every week with:
# 0 5 * * 1 tar -zcf /var/backups/home.tgz /home/
#
# m h  dom mon dow   command
SHELL=/bin/bash
PATH = "/usr/local/bin:/usr/bin:/bin"
MAILTO=admin@example.org

# Nightly backup,
# off site
30 2 * * *\tcd /srv/app && ./backup.sh --to "s3://bucket/a b" >> /var/log/backup.log 2>&1
#0 5 * * 1 tar -zcf /var/backups/home.tgz /home/

# ---- Office hours ----

*/15 8-18 * * MON-FRI /usr/bin/php /srv/app/cron.php\t
@daily     certbot renew --quiet
0 */12 * * * test -x /usr/bin/certbot -a \\! -d /run && perl -e 'sleep int(rand(43200))' && certbot -q renew
@reboot    sleep 30 && /opt/agent/start
MAILTO=""
LANG=de_CH.UTF-8
0 22 * * 1-5 mail -s "It's 10pm" joe%Joe,%%Where are your kids?%
0~59 4 * * sun echo some time
0 9 1 JAN,jul * nice -n 10 flock -n /tmp/l tar -cf "$(date +\\%F).tar" .
"""

SYSTEM = """\
# /etc/crontab: system-wide crontab
SHELL=/bin/sh
# Example of job definition:
# .---------------- minute (0 - 59)
# |  .------------- hour (0 - 23)
# *  *  *  *  * user-name command to be executed
17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly
25 6\t* * *\tbackup\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }
#30 6\t* * *\twww-data\t/srv/old
"""


def jobs(text: str, **more: object) -> dict[str, Job]:
    """The jobs that the made file has when it is read as any job file."""
    made = crontab.convert(text, **more)
    found = config.parse(made.toml.encode(), "automations.toml", "/home/user", "/opt/project").jobs
    assert len(found) == made.jobs
    return found


def only(text: str, **more: object) -> Job:
    (found,) = jobs(text, **more).values()
    return found


def command(text: str) -> str | tuple[str, ...]:
    return only(f"0 1 * * * {text}\n").command


def notes(text: str, **more: object) -> list[str]:
    """What is said about lines; not what is said about all jobs."""
    return [note for note in crontab.convert(text, **more).notes if not note.startswith("all jobs: ")]


# Whole files


def test_a_real_crontab_becomes_a_good_job_file():
    assert list(jobs(REAL)) == ["backup", "tar", "cron", "certbot", "certbot-2", "start", "mail", "tar-2"]


def test_of_a_real_crontab_is_said_what_was_not_carried_over():
    assert [note.partition(":")[0] for note in notes(REAL)] == ["line 10", "line 22", "line 26"]


def test_a_system_crontab_becomes_a_good_job_file():
    assert list(jobs(SYSTEM, system=True)) == ["cron-hourly", "cron-daily", "old"]


@pytest.mark.parametrize("text", ["", "\n", "\n\n \t\n", "\ufeff", "#\n"])
def test_an_empty_crontab_is_a_header_and_no_jobs(text: str):
    made = crontab.convert(text)
    assert (made.toml.count("\n"), made.notes, made.jobs) == (1, (), 0)


def test_a_file_begins_with_where_it_came_from():
    assert crontab.convert(REAL).toml.startswith("# Made from a crontab.")


@pytest.mark.parametrize("key", ["overlap", "timeout", "PATH"])
def test_what_is_different_for_all_jobs_is_said_once(key: str):
    assert len([note for note in crontab.convert(REAL).notes if note.startswith("all jobs: ") and key in note]) == 1


def test_a_job_says_no_more_than_it_must():
    assert crontab.convert("0 1 * * * x\n").toml.split("\n\n")[1] == (
        '[jobs.x]\nschedule = "0 1 * * *"\ncommand = "x"\ncwd = "~"\n'
    )


# Lines


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r", "", "\n\n"])
def test_lines_may_end_as_they_like(ending: str):
    assert only(f"0 1 * * * a{ending}").command == "a"


def test_windows_line_endings_change_nothing():
    assert crontab.convert(REAL.replace("\n", "\r\n")) == crontab.convert(REAL)


def test_a_byte_order_mark_is_no_part_of_the_first_line():
    assert only("\ufeff0 1 * * * a\n").command == "a"


def test_blanks_before_an_entry_and_between_its_fields_may_be_tabs():
    job = only(" \t0\t1  *\t*\t \t* \ta b\n")
    assert (job.schedule_text, job.command) == ("0 1 * * *", "a b")


# Schedules


@pytest.mark.parametrize(
    "fields",
    [
        "* * * * *",
        "*/5 0-23/2 1,15 1-6,9 0",
        "0 0 * * 7",
        "0 0 * * sun",
        "0 0 * JAN-mar MON-Fri",
        "00 07 * * *",
        "0 0 29 2 *",
        "@reboot",
        "@hourly",
        "@daily",
        "@midnight",
        "@weekly",
        "@monthly",
        "@yearly",
        "@annually",
    ],
)
def test_a_schedule_is_carried_over_as_it_stands(fields: str):
    assert only(f"{fields} x\n").schedule_text == fields


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("61 * * * * x", "bad minute; expected minute 0-59"),
        ("0 22-2 * * * x", "bad hour"),
        ("0 0 * * fri-mon x", "bad day-of-week"),
        ("0 0 30 2 * x", "a date that never comes"),
        ("*/0 * * * * x", "bad minute"),
        ("0~30 * * * * x", "random times (~) are not Debian's; choose one and set jitter"),
        ("@fortnightly x", "expected one of @reboot @hourly"),
        ("@Daily x", "expected one of @reboot @hourly"),
        ("@every_minute x", "expected one of @reboot @hourly"),
        ("* * * * * * x", "a sixth field of the schedule"),
        ("just some words", "expected five fields or an @word, then a command"),
        ("0 1 * * *", "expected five fields or an @word, then a command"),
        ("0 1 * * * \t", "expected five fields or an @word, then a command"),
        ("@daily", "expected five fields or an @word, then a command"),
        ("0 1 * * * %", "expected a command"),
        ("0 1 * * * a\0b", "without NUL"),
        ("0 1 * * * a\udc80b", "expected a command in UTF-8"),
        ("-61 * * * * x", "bad minute"),
    ],
)
def test_a_line_that_cannot_be_a_job_is_refused_with_the_reason(line: str, fault: str):
    (note,) = notes(f"{line}\n")
    assert note.startswith("line 1: not carried over: ")
    assert fault in note


def test_a_refused_line_stays_in_its_place_as_a_comment():
    toml = crontab.convert("0 1 * * * good\n61 * * * *\tbad\n0 3 * * * fine\n").toml
    assert re.findall(r"^\[.*|^# line.*", toml, re.MULTILINE) == [
        "[jobs.good]",
        "# line 2, not carried over: 61 * * * *\tbad",
        "[jobs.fine]",
    ]


def test_a_system_entry_without_a_command_is_refused_with_what_was_expected():
    assert "then a user and a command" in notes("0 1 * * * root\n", system=True)[0]


def test_reboot_is_said_to_be_each_start_of_the_scheduler():
    assert notes("@reboot x\n") == ["line 1: @reboot: here it is each start of the scheduler, not only of the machine"]


def test_the_mark_by_which_suse_keeps_a_job_out_of_the_log_is_left_out_with_a_word():
    assert only("-*/5 * * * * x\n").schedule_text == "*/5 * * * *"
    assert "SuSE" in notes("-*/5 * * * * x\n")[0]


def test_the_zone_of_the_machine_goes_into_each_job():
    found = jobs("0 1 * * * a\n@daily b\n", timezone="Europe/Zurich")
    assert [job.timezone for job in found.values()] == ["Europe/Zurich", "Europe/Zurich"]


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_a_zone_that_is_the_default_is_not_written(zone: str | None):
    assert "timezone" not in crontab.convert("0 1 * * * a\n", timezone=zone).toml


# Users


def test_the_user_of_a_system_entry_is_dropped_with_a_word():
    assert only("17 * * * * root run-parts /etc\n", system=True).command == "run-parts /etc"
    assert notes("17 * * * * root run-parts /etc\n", system=True) == [
        "line 1: user root: jobs here run as whoever runs the scheduler"
    ]


def test_a_system_entry_with_an_at_word_has_a_user_too():
    assert only("@daily root x y\n", system=True).command == "x y"


# Variables


def test_variables_hold_for_what_follows_them():
    found = jobs("0 1 * * * first\nA=1\n0 2 * * * second\nA=2\n0 3 * * * third\n")
    assert [dict(job.env) for job in found.values()] == [{}, {"A": "1"}, {"A": "2"}]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b c", "b c"),
        ("A = b c", "b c"),
        ("\tA\t=\tb c \t", "b c"),
        ('A="b c"', "b c"),
        ("A = ' b c '  ", " b c "),
        ('"A"="b c"', "b c"),
        ("'A' = b", "b"),
        ('A=""', ""),
        ("A=", ""),
        ("A=b#c # d", "b#c # d"),
        ('A=b"c"', 'b"c"'),
        ('A="it\'s"', "it's"),
        ("A=b=c", "b=c"),
        (r"A=\n\"", r"\n\""),
        ("A=~/bin", "~/bin"),
        ("A=größe ✓", "größe ✓"),
    ],
)
def test_a_variable_is_read_as_cron_reads_it(line: str, value: str):
    assert dict(only(f"{line}\n0 1 * * * x\n").env) == {"A": value}


@pytest.mark.parametrize("line", ['A="b" c', 'A="b', '"A=b"=c', "A B=c", "=b", "A=b\udc80", "A.B=c", "1=2", "* = 5"])
def test_what_is_no_variable_is_refused_and_kept(line: str):
    made = crontab.convert(f"{line}\n0 1 * * * x\n")
    assert "# line 1, not carried over: " in made.toml
    assert "env =" not in made.toml


def test_an_entry_whose_command_sets_a_variable_is_an_entry():
    assert only("@daily A=b x\n").command == "A=b x"


def test_another_shell_runs_the_command():
    job = only("SHELL=/bin/bash\n0 1 * * * echo $RANDOM\n")
    assert (job.command, dict(job.env)) == (("/bin/bash", "-c", "echo $RANDOM"), {"SHELL": "/bin/bash"})


def test_the_shell_that_is_the_default_needs_no_word():
    job = only("SHELL=/bin/bash\nSHELL=/bin/sh\n0 1 * * * x\n")
    assert (job.command, dict(job.env)) == ("x", {})


def test_jobs_begin_in_the_home_folder_as_under_cron():
    assert only("0 1 * * * x\n").cwd == str(Path("~").expanduser())


def test_another_home_is_where_jobs_begin():
    job = only("HOME=/srv\n0 1 * * * x\n")
    assert (job.cwd, dict(job.env)) == ("/srv", {"HOME": "/srv"})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("MAILTO=me", "nothing is mailed; the output of each run is kept"),
        ("CRON_TZ=Asia/Tokyo", "CRON_TZ: Debian's cron does not schedule by it"),
        ("TZ=Asia/Tokyo", "TZ: Debian's cron does not schedule by it"),
        ("PATH=$HOME/bin:$PATH", "PATH: cron expands no variables, so '$HOME/bin:$PATH' is taken literally"),
        ("LOGNAME=root", "not carried over: cron does not let LOGNAME be set"),
        ("AUTOMATIONS_JOB=x", "not carried over: this name or value cannot be in a job's environment"),
        ('SHELL=""', "not carried over: no shell"),
    ],
)
def test_a_variable_that_means_something_else_here_is_said(line: str, words: str):
    (note,) = notes(f"{line}\n0 1 * * * x\n")
    assert note.startswith("line 1: ")
    assert words in note


def test_a_zone_for_the_commands_stays_in_their_environment():
    job = only("CRON_TZ=Asia/Tokyo\n0 1 * * * x\n")
    assert (job.timezone, dict(job.env)) == ("UTC", {"CRON_TZ": "Asia/Tokyo"})


@pytest.mark.parametrize("line", ['MAILTO=""', "MAILTO=", "MAILTO = ''"])
def test_mail_that_was_off_needs_no_word(line: str):
    assert notes(f"{line}\n0 1 * * * x\n") == []


# Comments


def test_the_comment_above_an_entry_describes_it():
    assert jobs(REAL)["backup"].description == "Nightly backup, off site"


@pytest.mark.parametrize(
    "text",
    [
        "# Far above\n\n0 1 * * * x\n",
        "# Of another paragraph\n#\n0 1 * * * x\n",
        "# Of a variable\nA=1\n0 1 * * * x\n",
        "0 1 * * * x\n# Below\n",
        "# Above a bad line\n61 * * * * y\n0 1 * * * x\n",
    ],
)
def test_a_comment_that_describes_no_entry_stays_a_comment(text: str):
    made = crontab.convert(text).toml
    assert re.search(r"^# (Far|Of|Below|Above)", made, re.MULTILINE)
    assert "description" not in made


def test_lines_drawn_around_a_comment_are_no_part_of_it():
    assert only("#########\n##  Backup  ##\n0 1 * * * x\n").description == "Backup  ##"


@pytest.mark.parametrize("text", [REAL, SYSTEM])
def test_what_explains_crontabs_is_left_out(text: str):
    made = crontab.convert(text, system=text == SYSTEM).toml
    assert not re.search("introduce tasks|a.m every week|minute|user-name|m h", made)


def test_lines_after_the_explanation_keep_their_numbers():
    assert notes(SYSTEM + "61 * * * * root x\n", system=True)[-1].startswith("line 10: ")


@pytest.mark.parametrize("line", ["#0 5 * * 1 tar x", "# 0 5 * * 1  tar x", "  ##\t0 5 * * 1 tar x"])
def test_an_entry_that_is_commented_out_is_a_disabled_job(line: str):
    job = only(f"{line}\n")
    assert (job.enabled, job.schedule_text, job.command) == (False, "0 5 * * 1", "tar x")


def test_an_entry_that_is_commented_out_has_its_own_comment():
    assert [job.description for job in jobs("# Old\n#0 1 * * * a\n# New\n0 2 * * * b\n").values()] == ["Old", "New"]


@pytest.mark.parametrize(
    "line",
    ["# m h dom mon dow command", "#61 5 * * 1 tar", "#0 5 * * 1", "#@daily x", "#A=1", "# 5 of us are not here"],
)
def test_a_comment_that_is_no_perfect_entry_is_a_comment(line: str):
    assert (jobs(f"{line}\n"), notes(f"{line}\n")) == ({}, [])


# Names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("/usr/local/bin/backup.sh --all", "backup"),
        ("cd /srv/app && ./sync_notes.py", "sync_notes"),
        ("FOO=bar nice -n 10 rsync -a x y", "rsync"),
        ('A="b c" x', "x"),
        ("python3 -m foo.bar", "foo-bar"),
        ("/usr/bin/env bash /opt/tidy.sh", "tidy"),
        ("flock -n /tmp/lock /opt/sync", "sync"),
        ('/usr/bin/flock -n /tmp/lock -c "cd /x && run.sh"', "run"),
        ("timeout -s KILL 5m sudo -u www-data php -q /x/mailer.php", "mailer"),
        ("ionice -c2 -n7 nice tar", "tar"),
        ("[ -x /bin/a ] && /bin/b", "b"),
        ("test -x /a || ( cd / && run-parts --report /etc/cron.daily )", "cron-daily"),
        ("if [ -f x ]; then tidy; fi", "tidy"),
        (r"sleep $((RANDOM \% 60)); certbot renew", "certbot"),
        ("bash -lc '~/bin/daily.job >> log'", "daily-job"),
        ("curl -fsS https://hc-ping.com/uuid", "curl"),
        ("python", "python"),
        ("/opt/My-App/Run_It.PY", "run_it"),
        ("_private/-x", "x"),
        ("mail joe%cat food", "mail"),
        ("!!", "job"),
        ("✓", "job"),
        ("x" * 100, "x" * 56),
    ],
)
def test_a_job_is_named_after_what_it_runs(text: str, name: str):
    assert list(jobs(f"0 1 * * * {text}\n")) == [name]


def test_names_are_unique():
    assert list(jobs("@daily x\n@daily x-2\n@daily x\n@daily x\n")) == ["x", "x-2", "x-3", "x-4"]


def test_many_jobs_with_a_very_long_name_have_good_names():
    assert len(jobs(f"@daily {'x' * 100}\n" * 120)) == 120


# Commands


@pytest.mark.parametrize(
    "text",
    [
        r"""echo "a 'b' \"c\"" 'd' $E `f` \g \n""",
        "echo größe ✓ \N{GRINNING FACE}",
        "echo a\tb",
        "echo \x1b[1m\x7f\x01\x85\u2028\ufeff",
        "echo a\rb",
        "echo '''[jobs.b]''' \"\"\" #",
        "echo end of line \\",
        "echo a ",
    ],
)
def test_a_command_is_carried_over_character_by_character(text: str):
    assert command(text) == text


def as_cron_runs(text: str) -> tuple[str, str]:
    """Command and input as do_command.c makes them, character after character. Source: Debian cron 3.0pl1."""
    run, read, is_escaped = "", "", False
    place = 0
    while place < len(text):
        char = text[place]
        place += 1
        if is_escaped:
            run = run[:-1] + char if char in "%\\" else run + char
            is_escaped = False
        elif char == "%":
            break
        else:
            run += char
            is_escaped = char == "\\"
    is_escaped = needs_newline = False
    for char in text[place:]:
        if is_escaped and char != "%":
            read += "\\"
        put = "\n" if char == "%" and not is_escaped else char
        is_escaped = put == "\\"
        if not is_escaped:
            read += put
            needs_newline = put != "\n"
    return run, read + "\\" * is_escaped + "\n" * needs_newline


def runs_and_reads(words: str | Sequence[str], shell: str = "/bin/sh") -> tuple[str, str]:
    """What a job's command runs and what that reads."""
    match words:
        case str():
            return words, ""
        case ("/bin/sh", "-c", 'printf %s "$2" | "$0" -c "$1"', by, run, read):
            assert by == shell
            return run, read
        case (by, "-c", run):
            assert by == shell
            return run, ""
    raise AssertionError(words)


PERCENT = [
    ("cat%hello", "cat", "hello\n"),
    ("cat%one%two%", "cat", "one\ntwo\n"),
    ("cat%%", "cat", "\n"),
    ("cat%", "cat", ""),
    ("cat %", "cat ", ""),
    (r"echo 100\%", "echo 100%", ""),
    (r"echo 100\%%\%", "echo 100%", "%\n"),
    (r"cat%it's \% and % \% more", "cat", "it's % and \n % more\n"),
    ("cat; echo end%in", "cat; echo end", "in\n"),
    ("cat # a comment%in", "cat # a comment", "in\n"),
    ("cat%$HOME `id` \"q\" 'q' \\n", "cat", "$HOME `id` \"q\" 'q' \\n\n"),
    ("cat%-n %s é", "cat", "-n \ns é\n"),
    ("grep x%a x%b%x  ", "grep x", "a x\nb\nx  \n"),
    (r"printf '\\101\n'", r"printf '\101\n'", ""),
    (r"cat%a\\b", "cat", "a\\\\b\n"),
    (r"cat%a%\%", "cat", "a\n%\n"),
    ("cat%a%\\", "cat", "a\n\\"),
    ("exit 3%in", "exit 3", "in\n"),
]


@pytest.mark.parametrize(("text", "run", "read"), PERCENT)
def test_percent_signs_part_a_command_from_what_it_reads(text: str, run: str, read: str):
    assert runs_and_reads(command(text)) == (run, read) == as_cron_runs(text)


@pytest.mark.parametrize(("text", "run", "read"), PERCENT)
def test_a_command_with_input_does_what_it_does_under_cron(text: str, run: str, read: str):
    words = command(text)
    argv = ["/bin/sh", "-c", words] if isinstance(words, str) else list(words)
    here, cron = (
        subprocess.run(argv, input=fed, capture_output=True, timeout=10, check=False)
        for argv, fed in [(argv, b""), (["/bin/sh", "-c", run], read.encode())]
    )
    assert (here.returncode, here.stdout, here.stderr) == (cron.returncode, cron.stdout, cron.stderr)


def test_another_shell_reads_the_input_too():
    job = only('SHELL=/bin/bash\n0 1 * * * read -a w; echo "${w[1]} $0"%one two\n')
    done = subprocess.run(list(job.command), capture_output=True, text=True, timeout=10, check=True)
    assert done.stdout == "two /bin/bash\n"


def test_a_command_that_reads_none_of_its_input_succeeds():
    assert subprocess.run(list(command("true%" + "x" * 900)), timeout=10, check=False).returncode == 0


# Whatever somebody makes of a crontab

anything = st.text(st.characters(exclude_categories=[]), max_size=200)
STARTS = ["0 1 * * * ", "@daily ", "A=", "# ", "#0 1 * * * ", "*/5 * * * 7 root ", "SHELL=", "HOME=", "-1 * * * * "]
STARTS += ["# Edit this file to introduce tasks", "# m h dom mon dow command", '"', "MAILTO=", "%", "\\", "@reboot a%b"]
texts = anything | st.lists(st.tuples(st.sampled_from(STARTS), st.text(max_size=30)).map("".join), max_size=8).map(
    "\n".join
)


@settings(max_examples=500, deadline=None)
@example("0 1 * * * \x1f", False, None)
@example("0\x1f 1 * * * x", False, None)
@example("A=\x7f\n\x85\n0 1 * * * \x85 \u2028", False, None)
@given(texts, st.booleans(), st.sampled_from([None, "Europe/Zurich"]))
def test_any_text_makes_a_file_that_loads(text: str, system: bool, zone: str | None):
    jobs(text, system=system, timezone=zone)


@settings(max_examples=200, deadline=None)
@given(texts, st.booleans())
def test_whatever_is_said_can_be_printed(text: str, system: bool):
    assert all(re.match(r"(line [0-9]+|all jobs): ", note.encode().decode()) for note in notes(text, system=system))


line_of_text = st.characters(exclude_characters="\n\0", exclude_categories=["Cs"])
commands = st.text(st.sampled_from("ab %\\'\"$") | line_of_text, min_size=1).filter(
    lambda text: text[0] not in " \t*" and not text.endswith("\r") and "".join(as_cron_runs(text)).strip()
)


@settings(max_examples=500, deadline=None)
@given(commands, st.sampled_from(["/bin/sh", "/bin/bash"]))
def test_any_command_runs_and_reads_what_cron_would_give_it(text: str, shell: str):
    job = only(f"SHELL={shell}\n0 1 * * * {text}\n")
    assert runs_and_reads(job.command, shell) == as_cron_runs(text)
