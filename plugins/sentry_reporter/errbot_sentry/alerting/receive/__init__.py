"""Takes alerts in: webhooks, which are verified and stored before the answer, and the poller."""
