"""Flow 1, bot to server: every error of the bot reaches Sentry once, with its context, scrubbed."""
