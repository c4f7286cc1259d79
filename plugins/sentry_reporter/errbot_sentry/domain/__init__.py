"""Nouns and rules that all parts share: plain values, no I/O."""
