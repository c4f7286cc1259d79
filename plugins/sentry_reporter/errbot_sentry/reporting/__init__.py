"""Reporting, from the bot to the server: each of the bot's own errors once, with its context and without secrets."""
