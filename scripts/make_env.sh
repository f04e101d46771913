#!/bin/sh
# Make or refresh the virtual environment from a file of pinned, hashed versions.
# Usage: make_env.sh PYTHON REQUIREMENTS STAMP
set -eu
python=$1 requirements=$2 stamp=$3

command -v "$python" >/dev/null || {
	echo "no $python; expected Python 3.11 or newer; next: make up PYTHON=/path/to/python3" >&2
	exit 69
}
"$python" - <<'PY' || exit 69
import sys
if sys.version_info < (3, 11):
    sys.exit(f"Python {sys.version.split()[0]} is too old; expected 3.11 or newer; next: make up PYTHON=/path/to/python3.11")
PY
[ -x .venv/bin/python ] || "$python" -m venv .venv || {
	echo "no virtual environment could be made; on Debian: apt install python3-venv" >&2
	exit 69
}
echo "installing $requirements into .venv"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$requirements"
touch "$stamp"
