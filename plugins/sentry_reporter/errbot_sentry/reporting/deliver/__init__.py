"""Delivers events to the server: stores them on disk, and sends them as the server's rate limits allow."""
