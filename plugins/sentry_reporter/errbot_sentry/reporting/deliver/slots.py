"""The folders inside the spool's folder: one for each process, held by a lock that dies with it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from errbot_sentry.reporting.deliver.quota import Entry

try:
    import fcntl
except ImportError:  # not a POSIX system: there, two bots on one directory are not told apart
    fcntl = None  # type: ignore[assignment]  # no locks on Windows

_NAME = re.compile(r"(\d{16})\.([a-z_]{1,32})\.([0-9a-f]{0,32})\.gz")
_MOST_SLOTS = 64


class Slot:
    """One folder that belongs to this process until `release`."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    def release(self) -> None:
        """Another process may have it now. In the child of a fork the parent keeps it: only the child's descriptor,
        which would hold the lock beyond the parent's end, is closed."""
        os.close(self._handle)


def take_slot(root: Path) -> Slot:
    """The first slot that no process holds. Raises OSError where there is none, or no folder can be made."""
    # The mode is for the last folder only; in the one above, whoever may write could put another in its place.
    for folder in (root.parent, root):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(_MOST_SLOTS):
        path = root / str(number)
        path.mkdir(mode=0o700, exist_ok=True)
        handle = _lock(path)
        if handle is not None:
            return Slot(path, handle)
    raise OSError(f"all {_MOST_SLOTS} slots are in use")


def left_behind(root: Path, own: Path) -> Iterator[Path]:
    """The slots, but for one's own, whose process is gone; each is held while the caller is at it."""
    for path in sorted(root.iterdir()):
        if path == own or not path.is_dir():
            continue
        handle = _lock(path)
        if handle is None:
            continue
        try:
            yield path
        finally:
            os.close(handle)


def envelopes_in(slot: Path) -> list[Entry]:
    """What waits in a slot, by number; the rest of a write that a kill cut short is swept, its capture never
    returned."""
    found = []
    for item in os.scandir(slot):
        match = _NAME.fullmatch(item.name)
        if match:
            # Not a link, a folder or a pipe of that name: reading one could lead anywhere, or wait for ever.
            if item.is_file(follow_symlinks=False):
                found.append(Entry(int(match[1]), match[2], match[3], item.stat().st_size))
        elif item.name.endswith(".tmp"):
            with suppress(OSError):
                os.unlink(item.path)  # noqa: PTH108 - scandir's paths are texts
    return sorted(found, key=lambda entry: entry.seq)


def _lock(slot: Path) -> int | None:
    """An exclusive lock on a slot, held until the descriptor is closed; None when another process has it."""
    handle = os.open(slot / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    if fcntl is None:
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle
