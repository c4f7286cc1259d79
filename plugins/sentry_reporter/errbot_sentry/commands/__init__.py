"""Flow 2, chat to server and back: `!sentry issues` and its family."""
