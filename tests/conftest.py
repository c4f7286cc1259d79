"""Fixtures that every test may ask for."""

from tests.servers.bugsink import bugsink, bugsink_project
from tests.servers.ngircd import ngircd

__all__ = ["bugsink", "bugsink_project", "ngircd"]
