"""The built-in jobs: ordinary commands, each run as `python -m automations.jobs.NAME` like any other job."""
