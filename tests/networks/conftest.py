"""Servers that only the tests in this folder ask for."""

from tests.servers.synapse import synapse, synapse_python

__all__ = ["synapse", "synapse_python"]
