"""`make demo`: a real server and a real bot that work together."""
