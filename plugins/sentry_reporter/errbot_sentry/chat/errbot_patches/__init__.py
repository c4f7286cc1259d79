"""Everything that we change in Errbot, one file each."""
