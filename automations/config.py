"""`automations.toml` to Config, with every fault reported at once.

Rules: a fault names the place by its dotted path, the value, and what was expected. An unknown key is a fault,
since a misspelt `timeout` would otherwise be a job without one. Knows no clock and starts nothing.
"""

import os
import re
import tomllib
from collections.abc import Callable, Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from automations import schedule
from automations.digest import short_hash
from automations.errors import ConfigError
from automations.model import CatchUp, Config, Job, OnStop, Overlap, Schedule

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_DURATION = re.compile(r"([0-9]{1,9})(s|m|h|d)")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"([0-9]{1,9})(KiB|MiB|GiB)")
_UNIT_BYTES = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}

DEFAULTS = {"timeout": timedelta(hours=1), "grace": timedelta(hours=1)}
MAX_RETRIES = 20


def load(path: str, project: str) -> tuple[Config, bytes]:
    """Read the job file. Returns the Config and the bytes it was made from. Raises ConfigError."""
    name = os.path.basename(path)
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        raise ConfigError(
            [f"{path}: not found; expected the job file; copy {project}/automations.toml there"]
        ) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    return parse(content, name, os.path.dirname(path), project), content


def load_last_good(path: str, project: str, copies: str) -> tuple[Config, ConfigError | None]:
    """Read the job file, or in its place the newest copy in the folder `copies`, with the error that made it so.

    Raises ConfigError when there is no good copy either.
    """
    try:
        return load(path, project)[0], None
    except ConfigError as error:
        newest = _newest(copies)
        if newest is None:
            raise
        with open(newest, "rb") as file:
            return parse(file.read(), os.path.basename(newest), os.path.dirname(path), project), error


def in_force(path: str, project: str, copies: str) -> Config | None:
    """The job file that came into force last, from its copy; None when there is no copy that can be read."""
    newest = _newest(copies)
    if newest is None:
        return None
    try:
        with open(newest, "rb") as file:
            return parse(file.read(), os.path.basename(newest), os.path.dirname(path), project)
    except (OSError, ConfigError):
        return None


def _newest(folder: str) -> str | None:
    """Each time a job file comes into force its copy is written, so the newest copy is the one in force last."""
    try:
        names = [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".toml")]
    except OSError:
        return None
    return max(names, key=lambda name: os.stat(name).st_mtime_ns, default=None)


def parse(content: bytes, name: str, home: str, project: str) -> Config:
    """Check the bytes of a job file. `home` is what a relative `cwd` starts from, `project` its default."""
    try:
        table = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{name}: not valid TOML: {error}"]) from None
    faults: list[str] = []
    faults.extend(f"{key}: unknown key; expected tables [jobs.NAME]" for key in table if key != "jobs")
    jobs_table = table.get("jobs", {})
    if not isinstance(jobs_table, dict):
        raise ConfigError([f"{name}: jobs: got {_show(jobs_table)}; expected tables [jobs.NAME]"])
    jobs = {}
    for job_name, entry in jobs_table.items():
        job = _job(job_name, entry, home, project, faults)
        if job:
            jobs[job_name] = job
    if faults:
        raise ConfigError([f"{name}: {fault}" for fault in faults])
    return Config(jobs, short_hash(content))


def _job(name: str, entry: Any, home: str, project: str, faults: list[str]) -> Job | None:
    where = f"jobs.{name}"
    before = len(faults)
    if not _NAME.fullmatch(name):
        faults.append(f"{where}: bad name; expected a-z 0-9 _ - and at most 64 characters")
    if not isinstance(entry, dict):
        faults.append(f"{where}: got {_show(entry)}; expected a table [jobs.{name}]")
        return None
    values = _values(where, entry, faults)
    rule = _schedule(where, values, faults)
    if "command" not in entry:
        faults.append(f"{where}.command: missing; expected a list of strings, or a string for sh -c")
    faults.extend(_contradictions(where, values))
    if len(faults) > before or rule is None:
        return None
    folders = {key: os.path.join(home, os.path.expanduser(values.pop(key))) for key in _PLACES if key in values}
    given = {field: values[key] for key, field in _PLAIN.items() if key in values}
    return Job(
        name=name,
        schedule=rule,
        schedule_text=" · ".join(values["schedule"]) if "schedule" in values else f"every {entry['every']}",
        timezone=str(values.get("timezone", "UTC")),
        **{**DEFAULTS, "cwd": project, **given, **folders},
    )


def _contradictions(where: str, values: dict[str, Any]) -> Iterator[str]:
    """Keys that are good by themselves and mean nothing together."""
    if values.get("overlap") == Overlap.ALLOW and values.get("group"):
        yield f'{where}.overlap: "allow" contradicts group; jobs of a group never overlap'
    if values.get("catch_up") == CatchUp.NONE and "catch_up_window" in values:
        yield f'{where}.catch_up_window: means nothing with catch_up = "none"'
    if "backoff" in values and not values.get("retries"):
        yield f"{where}.backoff: means nothing without retries"


def _values(where: str, entry: dict[str, Any], faults: list[str]) -> dict[str, Any]:
    """Each key through its reader; what a reader refuses becomes a fault."""
    values = {}
    for key, value in entry.items():
        reader = READERS.get(key)
        if reader is None:
            faults.append(f"{where}.{key}: unknown key; expected one of {' '.join(READERS)}")
            continue
        try:
            values[key] = reader(value)
        except ValueError as error:
            faults.append(f"{where}.{key}: got {_show(value)}; {error}")
    return values


def _schedule(where: str, values: dict[str, Any], faults: list[str]) -> Schedule | None:
    if ("schedule" in values) == ("every" in values):
        if not any(fault.startswith((f"{where}.schedule:", f"{where}.every:")) for fault in faults):
            faults.append(
                f"{where}: expected either schedule or every, got {'both' if 'every' in values else 'neither'}"
            )
        return None
    zone = values.get("timezone", ZoneInfo("UTC"))
    try:
        if "every" in values:
            return schedule.Every(values["every"], zone)
        return schedule.parse(values["schedule"], zone)
    except ValueError as error:
        key = "every" if "every" in values else "schedule"
        faults.append(f"{where}.{key}: {error}")
        return None


def _string(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("expected a string without NUL")
    return value


def _expressions(value: Any) -> list[str]:
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError('expected a string such as "0 8 * * *", or a list of them')
    return [" ".join(text.split()) for text in texts]


def _command(value: Any) -> str | tuple[str, ...]:
    words = value if isinstance(value, list) else [value]
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0].strip():
        raise ValueError("expected a list of strings, or a string for sh -c")
    return tuple(words) if isinstance(value, list) else str(value)


def duration(value: Any) -> timedelta:
    """Read a duration: `"90s"`, `"6h"`, `"1h30m"`. Raises ValueError."""
    text = value if isinstance(value, str) else ""
    parts = _DURATION.findall(text)
    seconds = sum(int(count) * _UNIT_S[unit] for count, unit in parts)
    if not parts or "".join(map("".join, parts)) != text or not 0 < seconds <= 366 * 86400:
        raise ValueError('expected a duration of at most 366 days with its unit, such as "90s", "6h" or "1h30m"')
    return timedelta(seconds=seconds)


def size(value: Any) -> int:
    """Read a size: `"64KiB"`, `"10MiB"`; in bytes. Raises ValueError."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    found = int(match[1]) * _UNIT_BYTES[match[2]] if match else 0
    if not 64 * 1024 <= found <= 1024**3:
        raise ValueError('expected a size from 64KiB to 1GiB, such as "10MiB"')
    return found


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_RETRIES:
        raise ValueError(f"expected a whole number from 0 to {MAX_RETRIES}")
    return value


def _codes(value: Any) -> tuple[int, ...]:
    good = isinstance(value, list) and value and all(type(code) is int and 0 <= code <= 255 for code in value)
    if not good:
        raise ValueError("expected a list of exit codes from 0 to 255, such as [0, 24]")
    return tuple(value)


def _group(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("expected a name: a-z 0-9 _ - and at most 64 characters")
    return value


def _one_of(words: type[StrEnum]) -> Callable[[Any], StrEnum]:
    def read(value: Any) -> StrEnum:
        if not isinstance(value, str) or value not in list(words):
            raise ValueError("expected one of " + " ".join(words))
        return words(value)

    return read


def _zone(value: Any) -> ZoneInfo:
    try:
        return ZoneInfo(_string(value))
    except (ValueError, OSError, LookupError):
        raise ValueError('expected an IANA time zone such as "Europe/Zurich"') from None


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _environment(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(isinstance(v, str) and "\0" not in k + v for k, v in value.items()):
        raise ValueError('expected a table of strings such as { LANG = "C.UTF-8" }')
    bad = [key for key in value if not key or "=" in key or key.startswith("AUTOMATIONS_")]
    if bad:
        raise ValueError(f"{bad[0]!r} cannot be set; expected a name without '=' and not AUTOMATIONS_…")
    return tuple(value.items())


def _show(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= 80 else text[:77] + "..."


READERS: dict[str, Callable[[Any], Any]] = {
    "schedule": _expressions,
    "every": duration,
    "timezone": _zone,
    "command": _command,
    "cwd": _string,
    "env": _environment,
    "env_file": _string,
    "timeout": duration,
    "grace": duration,
    "retries": _count,
    "backoff": duration,
    "overlap": _one_of(Overlap),
    "catch_up": _one_of(CatchUp),
    "catch_up_window": duration,
    "on_stop": _one_of(OnStop),
    "jitter": duration,
    "group": _group,
    "ok_exit_codes": _codes,
    "max_output": size,
    "enabled": _flag,
    "description": _string,
}
_PLACES = ("cwd", "env_file")
_PLAIN = {
    key: {"max_output": "max_output_bytes"}.get(key, key)
    for key in READERS
    if key not in ("schedule", "every", "timezone", *_PLACES)
}
