"""The settings in Errbot's config.py: read once, checked and frozen."""
