#!/bin/sh
# The one door: everything starts and stops through this script. POSIX sh; `status` needs nothing else.
#
# Exit codes: 0 done or running · 1 failed, or dead with a pid file (status) · 3 stopped (status)
#             64 wrong use · 69 not installed · 74 logs/ not writable · 75 busy · 78 bad automations.toml
set -u

script=$0
while [ -h "$script" ]; do # called through a link in somebody's ~/bin
	target=$(readlink "$script")
	case $target in /*) script=$target ;; *) script=${script%/*}/$target ;; esac
done
case $script in */*) project=${script%/*}/.. ;; *) project=.. ;; esac
logs=${AUTOMATIONS_HOME:-$project}/logs

usage() {
	cat <<'TEXT'
Usage: run_automations.sh COMMAND

  start        bring the scheduler up; OK only once it has proved that it lives
  stop         take it down, and keep it down
  restart      stop, then start
  status       {"running":…,"pid":…,"last_activity":…}; exit 0 running, 3 stopped, 1 dead
  foreground   be the scheduler in this terminal, for systemd, containers and Procfiles
  up, down     the scheduler and the control API together
  serve        be the control API in this terminal
  run JOB      run a job now, show its output, answer with its exit code (--detach: do not wait)
  trigger JOB  the same through the control API; when none answers, by `run`, and says so
  stop-run RUN end an open run
  jobs         every job: next slot, last outcome, paused or running
  next [JOB]   the next slots (-n 20)
  runs         what became of runs and slots (--job --outcome --since --until --text -n)
  output RUN   what a run printed; of a job, its newest run (--times, --follow)
  search TEXT  runs whose output has these words, with the filters of `runs`
  pause JOB    let its slots pass (--for 2h or --until TIME, --note WHY); resume JOB
  check [FILE] is the job file good, and what would it change in the next 7 days?
  import-crontab [FILE]   a crontab as a job file, on stdout
  verify       check the journal line by line
  tui          the terminal dashboard (--home DIR, --url URL, --readonly)

jobs, next, runs, search, check, pause, resume and stop-run answer in JSON with --json.
The home is AUTOMATIONS_HOME, or the project's own folder.
TEXT
}

# The virtual environment's Python, isolated (-I) from whatever PYTHON* variables the caller has.
python() {
	program=$1
	shift
	project=$(cd "$project" && pwd -P) || exit 1
	if [ -x "$project/.venv/bin/python" ]; then
		interpreter=$project/.venv/bin/python
	else
		interpreter=$(command -v python3) || not_installed "no python3"
		case $command in
		stop | down | verify) ;; # they need the standard library only
		*) "$interpreter" -I -c 'import cronsim, bottle' 2>/dev/null || not_installed "no $project/.venv" ;;
		esac
	fi
	exec "$interpreter" -I "$project/$program" "$@"
}

not_installed() {
	printf '{"ok": false, "error": "not installed: %s; next: make up"}\n' "$1"
	exit 69
}

# Is the process that signed scheduler.lock alive? Its start time and the boot id must fit: a pid is recycled.
alive() {
	[ -n "$pid" ] || return 1
	if [ -r /proc/self/stat ]; then
		read -r stat <"/proc/$pid/stat" || return 1
		# shellcheck disable=SC2086  # split on purpose: the fields after "(name) "
		set -- ${stat##*) }
		[ "$1" != Z ] && [ "$1" != X ] && [ "${20}" = "$start" ] || return 1
		read -r now </proc/sys/kernel/random/boot_id || now=-
		[ "$now" = "$boot" ]
	else
		kill -0 "$pid" 2>/dev/null
	fi
} 2>/dev/null

# The time of the last journal line; of the one before when that one is torn.
last_activity() {
	last=$(tail -n 2 "$logs/scheduler.log" 2>/dev/null)
	while [ -n "$last" ]; do
		line=${last##*"$newline"}
		case $line in
		'{"ts":"'[0-9]*Z'"'*)
			ts=${line#'{"ts":"'}
			activity=\"${ts%%\"*}\"
			return
			;;
		esac
		[ "$line" = "$last" ] && return
		last=${last%"$newline"*}
	done
}

status() {
	newline='
'
	activity=null pid='' start='' boot='' code=3
	{ read -r pid start boot <"$logs/scheduler.lock"; } 2>/dev/null
	last_activity
	if alive; then
		printf '{"running":true,"pid":%s,"last_activity":%s}\n' "$pid" "$activity"
		exit 0
	fi
	[ -e "$logs/scheduler.pid" ] && code=1
	printf '{"running":false,"pid":null,"last_activity":%s}\n' "$activity"
	exit "$code"
}

# The files that are there from the first command on. What cannot be made is for the command itself to report.
prepare() {
	umask 077
	[ -d "$logs" ] || mkdir "$logs"
	for file in scheduler.log scheduler.out retention.log; do
		[ -e "$logs/$file" ] || (set -C && : >"$logs/$file")
	done
} 2>/dev/null

command=${1:-help}
[ $# -gt 0 ] && shift
case $command in
start | stop | restart | status | foreground | up | down) prepare ;;
esac
case $command in
status) status ;;
start | stop | restart | up | down | run | trigger | stop-run | jobs | next | runs | output | search | pause | resume | \
	check | import-crontab | revive | give-up)
	python automations/__main__.py "$command" "$@"
	;;
foreground) python scripts/exec_scheduler.py --foreground "$@" ;;
serve) python server.py "$@" ;;
tui) python tui/__main__.py "$@" ;;
verify) python scripts/verify_log.py "$logs/scheduler.log" "$@" ;;
help | -h | --help) usage ;;
*)
	echo "run_automations.sh: unknown command: $command" >&2
	usage >&2
	exit 64
	;;
esac
