"""Decides what each room gets about an alert: pure decisions with named reasons, and the pipeline around them."""
