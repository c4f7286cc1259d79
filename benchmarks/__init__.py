"""Every claim of speed, against its floor and its peers, measured alternately in one run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "plugins" / "sentry_reporter"))
