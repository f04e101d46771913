#!/bin/sh
# Format, lint, types, shell, tests: all of it, in the order of how quickly each one answers.
set -eu
bin=.venv/bin
shells="scripts/*.sh .ci/run"

$bin/ruff format --check .
$bin/ruff check .
$bin/mypy
# shellcheck disable=SC2086  # the pattern is meant to be expanded
$bin/shfmt -d $shells
# shellcheck disable=SC2086
$bin/shellcheck $shells
$bin/python -m pytest -q -n 4 --dist loadfile -m "not storm"
