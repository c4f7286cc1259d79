"""Alerts come in: webhooks, verified and stored before the answer, and the poller."""
