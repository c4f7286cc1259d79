"""What `make demo` runs: a real server, a real bot, and the way between them."""
