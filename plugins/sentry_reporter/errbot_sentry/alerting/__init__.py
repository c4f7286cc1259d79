"""Alerting, from the server to rooms: each problem once in each room that wants it; what follows is summed up."""
