"""Commands that change issues on the server: one, or many at once."""
