"""Reports the bot's own errors to the server: each error once, with its context and without secrets."""
