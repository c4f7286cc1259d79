"""The commands, from chat to the server and back: `!sentry issues` and all others."""
