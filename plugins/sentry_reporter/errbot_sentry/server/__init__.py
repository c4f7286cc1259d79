"""The HTTP client that commands and the alert flow share, with one dialect per kind of server."""
