"""One adapter per chat network, on top of Errbot's backend for it (docs/adr/0010)."""
