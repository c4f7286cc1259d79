"""From records and exceptions to events: what counts, with its context."""
