"""Run a job through the control API, as `make run-brief` does; by hand when no server answers, saying so."""

import http.client
import json
import os
import sys
from urllib.parse import quote

from automations import byhand, key
from automations.errors import Exit, ServerError, SettingError
from automations.paths import Paths

_PATIENCE_S = 35.0  # the server's own guard is 30


def address() -> tuple[str, int]:
    """Where the control API is: AUTOMATIONS_HOST and AUTOMATIONS_PORT, by default 127.0.0.1:5000."""
    port = os.environ.get("AUTOMATIONS_PORT") or "5000"
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise SettingError(f"AUTOMATIONS_PORT: got {port!r}; expected a number from 1 to 65535")
    return os.environ.get("AUTOMATIONS_HOST") or "127.0.0.1", int(port)


def run(paths: Paths, job: str) -> int:
    """Trigger `job` and print the answer. Exit 0 when the run has begun (API) or succeeded (by hand)."""
    host, port = address()
    try:
        status, body = _post(host, port, f"/api/automations/jobs/{quote(job, safe='')}/run", key.load(paths))
    except ConnectionRefusedError:
        print(f"no server answers at {host}:{port}; running {job} through the script", file=sys.stderr)
        return byhand.run(paths, job)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = f"{type(error).__name__}: {error}"
        what = f"something else than the control API answers at http://{host}:{port} ({reason})"
        raise ServerError(f"{what}; next: stop it, or set AUTOMATIONS_PORT and make down up") from error
    print(json.dumps(body))
    if status != 202:
        return Exit.FAILED
    print(f"its output: {os.path.join(paths.runs, str(body.get('run_id')))}.log", file=sys.stderr)
    return Exit.OK


def _post(host: str, port: int, path: str, secret: str) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE_S)
    try:
        connection.request("POST", path, headers={"X-Dash-Key": secret.encode("utf-8", "surrogateescape")})
        response = connection.getresponse()
        body = json.loads(response.read())
    finally:
        connection.close()
    if not isinstance(body, dict):
        raise ValueError("expected a JSON object")
    return response.status, body
