"""Run a job through the control API, as `make run-brief` does; by hand when no server answers, saying so."""

import http.client
import json
import os
import sys

from automations import byhand, key
from automations.errors import Exit
from automations.paths import Paths

_PATIENCE_S = 35.0  # the server's own guard is 30


def address() -> tuple[str, int]:
    """Where the control API is: AUTOMATIONS_HOST and AUTOMATIONS_PORT, by default 127.0.0.1:5000."""
    return os.environ.get("AUTOMATIONS_HOST") or "127.0.0.1", int(os.environ.get("AUTOMATIONS_PORT") or 5000)


def run(paths: Paths, job: str) -> int:
    """Trigger `job` and print the answer. Exit 0 when the run has begun (API) or succeeded (by hand)."""
    host, port = address()
    try:
        status, body = _post(host, port, f"/api/automations/jobs/{job}/run", key.load(paths))
    except ConnectionRefusedError:
        print(f"no server answers at {host}:{port}; running {job} through the script", file=sys.stderr)
        return byhand.run(paths, job)
    print(body)
    return Exit.OK if status == 202 else Exit.FAILED


def _post(host: str, port: int, path: str, secret: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE_S)
    try:
        connection.request("POST", path, headers={"X-Dash-Key": secret.encode()})
        response = connection.getresponse()
        return response.status, json.dumps(json.loads(response.read()), ensure_ascii=False)
    finally:
        connection.close()
