"""SentryReporter's own package: everything but the thin Errbot plugin module beside it."""

__version__ = "0.1.0"
