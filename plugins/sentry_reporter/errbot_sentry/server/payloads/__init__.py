"""Reads JSON into the domain's objects and writes it from them; one module per kind of payload."""
