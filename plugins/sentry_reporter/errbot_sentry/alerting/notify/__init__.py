"""Sends messages: the outbox's sender, edits, the scheduler, digests, and the fallback for a chat that is down."""
