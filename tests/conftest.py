"""Fixtures that every test may ask for."""

import os

from demo.processes import LOOPBACK
from tests.servers.bugsink import bugsink, bugsink_project
from tests.servers.ngircd import ngircd
from tests.servers.postgres import postgres

__all__ = ["bugsink", "bugsink_project", "ngircd", "postgres"]

# A developer's proxy must not stand between a test and its servers.
os.environ.update(no_proxy=LOOPBACK, NO_PROXY=LOOPBACK)
