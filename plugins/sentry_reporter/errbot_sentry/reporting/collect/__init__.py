"""Makes events of log records and exceptions: decides which are reported, and adds their context."""
