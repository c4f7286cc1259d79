"""All that we change in Errbot, one file per patch. `patches` applies and undoes them (docs/errbot-patches.md)."""
