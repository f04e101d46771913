#!/bin/sh
# Pin the newest versions that fit pyproject.toml into requirements*.txt, with hashes and no index address.
set -eu
.venv/bin/python -m pip install --quiet uv
common="--universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet --upgrade"
# shellcheck disable=SC2086  # a list of options
.venv/bin/uv pip compile pyproject.toml $common -o requirements.txt
# shellcheck disable=SC2086
.venv/bin/uv pip compile pyproject.toml --group dev $common -o requirements-dev.txt
