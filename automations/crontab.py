r"""A crontab as an `automations.toml`, and word of whatever could not be carried over. Pure: text in, text out.

Rules:
- An entry is five fields or an @word, in /etc/crontab a user, then the command. `NAME = value` holds for what follows.
- Of a command `\%` becomes `%` and `\\` becomes `\`; the first other `%` ends it, what follows is its standard input,
  where each `%` is a newline and the last line gets its own. Source: Debian crontab(5); do_command.c, entry.c, env.c.
- The comment right above an entry describes it; an entry that is commented out becomes a disabled job.
- Nothing vanishes: a line that cannot be a job stays as a comment, with a note saying why. Gone is only the text by
  which `crontab -e` and /etc/crontab explain themselves.

Does not know which zone the machine is in, nor who runs the scheduler.
"""

import re
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple
from zoneinfo import ZoneInfo

from automations import schedule

_TEMPLATE = re.compile(
    r"^# (?:Edit this file to introduce tasks|Example of job definition)(?:.*\n#)*?"
    r".*(?:m h +dom mon dow.*command|command to be executed)\r?$",
    re.MULTILINE,
)
_VARIABLE = re.compile(
    r"""(?:"([^"=]*)"|'([^'=]*)'|([^\s="'][^\s=]*))\s*=\s*(?:"([^"]*)"|'([^']*)'|((?:[^\s"'].*?)?))\s*""", re.ASCII
)
_BLANKS = re.compile(r"[ \t]+")
_UP_TO_INPUT = re.compile(r"((?:[^\\%]|\\.|\\\Z)*)%?(.*)", re.DOTALL)
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_EXTENSION = re.compile(r"\.(sh|bash|py|pl|rb|php|js)$")
_BEFORE_PROGRAM = re.compile(
    r"""(?:(?: [({!]+ | \w+=(?:"[^"]*"|'[^']*'|[^\s"'])* | -\S+(?:\s+(?:\d+|[A-Z]+))? | (?:\S*/)?(?:
            (?:flock|timeout)(?:\s+-\S+(?:\s+(?:\d+|[A-Z]+))?)*\s+\S+ | sudo(?:\s+-u\s+\S+)? | nice|ionice|nohup|env
            |exec|command|time|chronic|setsid|then|do|else|sh|bash|dash|python[\d.]*|perl|php|ruby|node|run-parts
       ))\s+)*""",
    re.VERBOSE,
)
_PREPARATIONS = {"", "cd", "test", "if", "sleep", "export", "set", "source", "umask"}
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"})
_DEFAULT_SHELL = ("SHELL", "/bin/sh")
_WITH_INPUT = 'printf %s "$2" | "$0" -c "$1"'
_HEADER = "# Made from a crontab. What could not be carried over was said when it was made.\n"
_FOR_ALL = (
    "all jobs: cron starts a job also while it still runs, here it is skipped then; if that is wrong, set overlap",
    "all jobs: cron lets a job run for ever, here it is ended after an hour; where that is too short, set timeout",
    "all jobs: where no PATH is set, cron's is /usr/bin:/bin, here the scheduler's Python comes first; set it in env",
)


class Imported(NamedTuple):
    """The job file's text, a note for each thing that is not as it was (`line N: …`), and how many jobs there are."""

    toml: str
    notes: tuple[str, ...]
    jobs: int


class _Entry(NamedTuple):
    expression: str
    user: str
    command: str
    stdin: str


def convert(text: str, *, system: bool = False, timezone: str | None = None) -> Imported:
    """Read a crontab. `system`: its entries name a user; `timezone`: the zone its times are meant in, default UTC."""
    return _Importer(system, timezone).convert(text)


class _Importer:
    """What has been read so far: variables in force, comments not used yet, names taken."""

    def __init__(self, system: bool, timezone: str | None) -> None:
        self._system = system
        self._timezone = timezone
        self._variables: dict[str, str] = {}
        self._comments: list[str] = []
        self._names: set[str] = set()
        self._notes: list[str] = []
        self._parts: list[str] = [_HEADER]

    def convert(self, text: str) -> Imported:
        text = _TEMPLATE.sub(lambda found: "\n" * found[0].count("\n"), text.removeprefix("\ufeff"))
        for number, line in enumerate(text.split("\n"), 1):
            self._line(number, line.removesuffix("\r").lstrip(" \t"))
        self._keep_comments()
        notes = (*(_FOR_ALL if self._names else ()), *self._notes)
        return Imported("\n".join(self._parts), notes, len(self._names))

    def _line(self, number: int, line: str) -> None:
        if not line.strip():
            self._keep_comments()
        elif line.startswith("#"):
            self._comment(number, line.lstrip("# \t"))
        elif variable := _VARIABLE.fullmatch(line):
            self._keep_comments()
            found = variable.groups("")
            self._variable(number, "".join(found[:3]), "".join(found[3:]))
        elif line.startswith("-") and self._is_entry(line[1:]):
            self._note(number, "the - before it (SuSE: do not log) is left out; every run is on record here")
            self._entry(number, line[1:])
        else:
            self._entry(number, line)

    def _comment(self, number: int, words: str) -> None:
        if not words.startswith("@") and self._is_entry(words):
            self._entry(number, words, enabled=False)
        elif any(char.isalnum() for char in words):
            self._comments.append(_visible(words.strip()))
        else:
            self._keep_comments()

    def _keep_comments(self) -> None:
        """Comments that describe no entry stay what they are."""
        if self._comments:
            self._parts.append("".join(f"# {words}\n" for words in self._comments))
            self._comments.clear()

    def _variable(self, number: int, name: str, value: str) -> None:
        if name == "MAILTO":
            if value:
                self._note(number, "MAILTO: nothing is mailed; the output of each run is kept: `output JOB` shows it")
            return
        fault = _variable_fault(name, value)
        if fault:
            self._refuse(number, f"{name}={value}", fault)
            return
        if name in ("CRON_TZ", "TZ"):
            advice = "set timezone in the jobs if you mean it"
            self._note(number, f"{name}: Debian's cron does not schedule by it, commands only see it; {advice}")
        if "$" in value:
            self._note(number, f"{name}: cron expands no variables, so {value!r} is taken literally; write it out")
        self._variables[name] = value

    def _read(self, line: str) -> _Entry:
        """Take an entry apart. Raises ValueError with what is wrong."""
        before = (1 if line.startswith("@") else 5) + self._system
        words = _BLANKS.split(line, before)
        if len(words) <= before or not words[before].strip():
            raise ValueError(f"expected five fields or an @word, then {'a user and ' * self._system}a command")
        expression = " ".join(words[: before - self._system])
        if "~" in expression:
            raise ValueError("random times (~) are not Debian's; choose one and set jitter")
        schedule.parse([expression], ZoneInfo("UTC"))
        command, stdin = _as_cron_runs(words[before])
        if command.startswith("*") and not self._system:
            raise ValueError("a sixth field of the schedule; expected a command")
        if _NO_TEXT.search(line) or not (command + stdin).strip():
            raise ValueError("expected a command in UTF-8 without NUL")
        return _Entry(expression, words[before - 1] if self._system else "", command, stdin)

    def _is_entry(self, line: str) -> bool:
        try:
            return bool(self._read(line))
        except ValueError:
            return False

    def _entry(self, number: int, line: str, *, enabled: bool = True) -> None:
        try:
            entry = self._read(line)
        except ValueError as error:
            self._refuse(number, line, f"{error}; put it right and import it again, or write the job yourself")
            return
        if entry.expression == "@reboot":
            self._note(number, "@reboot: here it is each start of the scheduler, not only of the machine")
        if entry.user:
            self._note(number, f"user {_visible(entry.user)}: jobs here run as whoever runs the scheduler")
        self._parts.append(self._table(entry, enabled))
        self._comments.clear()

    def _table(self, entry: _Entry, enabled: bool) -> str:
        lines = [f"[jobs.{self._name(entry.command)}]"]
        if self._comments:
            lines.append(f"description = {_toml(' '.join(self._comments))}")
        lines.append(f"schedule = {_toml(entry.expression)}")
        if self._timezone and self._timezone != "UTC":
            lines.append(f"timezone = {_toml(self._timezone)}")
        lines.append(f"command = {_toml(_words(entry, self._variables.get('SHELL', '/bin/sh')))}")
        lines.append(f"cwd = {_toml(self._variables.get('HOME') or '~')}")
        if env := [f"{key} = {_toml(to)}" for key, to in self._variables.items() if (key, to) != _DEFAULT_SHELL]:
            lines.append(f"env = {{ {', '.join(env)} }}")
        if not enabled:
            lines.append("enabled = false")
        return "\n".join(lines) + "\n"

    def _name(self, command: str) -> str:
        """A name from what is run, unlike all names before it."""
        base = next(_programs(command), "job")[:56]
        name = next(name for n in count(1) if (name := f"{base}-{n}" if n > 1 else base) not in self._names)
        self._names.add(name)
        return name

    def _refuse(self, number: int, line: str, fault: str) -> None:
        self._keep_comments()
        self._note(number, f"not carried over: {fault}: {_visible(line)[:100]}")
        self._parts.append(f"# line {number}, not carried over: {_visible(line)}\n")

    def _note(self, number: int, words: str) -> None:
        self._notes.append(f"line {number}: {words}")


def _variable_fault(name: str, value: str) -> str | None:
    if name == "LOGNAME":
        return "cron does not let LOGNAME be set; here too it is whoever runs the scheduler"
    if name == "SHELL" and not value.strip():
        return "no shell; name one, such as /bin/sh"
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name.startswith("AUTOMATIONS_") or _NO_TEXT.search(value):
        return "this name or value cannot be in a job's environment; set it in the command"
    return None


def _as_cron_runs(text: str) -> tuple[str, str]:
    r"""Command and standard input of what an entry says. Source: Debian do_command.c; `\x` stays `\x` in both."""
    found = _UP_TO_INPUT.fullmatch(text)
    assert found
    command = re.sub(r"\\([%\\])", r"\1", found[1])
    stdin = re.sub(r"\\?%", lambda percent: "%" if len(percent[0]) == 2 else "\n", found[2])
    last = stdin.rstrip("\\")[-1:]
    return command, stdin + "\n" * (last not in ("", "\n"))


def _words(entry: _Entry, shell: str) -> str | list[str]:
    """A job's command. What it runs and what it reads are words of their own, so nothing has to be quoted."""
    if entry.stdin:
        return ["/bin/sh", "-c", _WITH_INPUT, shell, entry.command, entry.stdin]
    return entry.command if shell == "/bin/sh" else [shell, "-c", entry.command]


def _programs(command: str) -> Iterator[str]:
    """Names of the programs that a command runs, not of what only prepares or wraps them."""
    for part in re.split(r"[;&|]+", command):
        for word in _BEFORE_PROGRAM.sub("", part.lstrip(), count=1).split()[:1]:
            base = _EXTENSION.sub("", word.strip("\"'`").rstrip("/").rpartition("/")[2].lower())
            name = "-".join(re.findall(r"[a-z0-9_-]+", base)).lstrip("-_")
            if name not in _PREPARATIONS:
                yield name


def _toml(value: str | list[str]) -> str:
    """A TOML basic string, or an array of them."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    shown = (char if char.isprintable() else f"\\U{ord(char):08x}" for char in value.translate(_ESCAPES))
    return '"' + "".join(shown) + '"'


def _visible(line: str) -> str:
    """The line as it can stand in a comment or on a screen."""
    return "".join(char if char.isprintable() or char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in line)
