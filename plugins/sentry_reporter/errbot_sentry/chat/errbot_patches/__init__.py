"""Everything that we change in Errbot, one file each; `patches` applies and undoes it (docs/errbot-patches.md)."""
