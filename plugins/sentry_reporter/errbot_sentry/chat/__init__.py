"""The border to Errbot: rooms, people, templates and the webhook route."""
