"""Messages go out: the outbox's sender, the scheduler, digests, and what is forgotten when."""
