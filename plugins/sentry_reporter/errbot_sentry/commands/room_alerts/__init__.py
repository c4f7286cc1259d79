"""Commands about the alerts of a room: subscriptions, silences, digests, and what became of each alert."""
