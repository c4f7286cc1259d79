"""What people type after `!sentry`: finding the command, reading its words, running it."""
