"""The HTTP client that the query and alert flows share, with one dialect per kind of server."""
