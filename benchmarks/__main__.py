"""`make bench`: run the benchmarks one after the other, or only those that are named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Parts that a benchmark starts as processes of its own.
_PARTS = ("_worker", "_ingest", "_peer")


def names() -> list[str]:
    """The benchmarks there are: the modules beside this file that are not parts of others."""
    stems = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return sorted(stem for stem in stems if not stem.startswith("_") and not stem.endswith(_PARTS))


def main() -> int:
    wanted = sys.argv[1:] or names()
    unknown = [name for name in wanted if name not in names()]
    if unknown:
        print(f"There is no benchmark {unknown[0]}; there are {', '.join(names())}.")
        return 2
    failed = []
    for name in wanted:
        print(f"\n## {name}\n", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nDid not end as it should: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
