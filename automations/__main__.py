"""`python -m automations COMMAND`; also run by its path, isolated, from `run_automations.sh`."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from automations.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
