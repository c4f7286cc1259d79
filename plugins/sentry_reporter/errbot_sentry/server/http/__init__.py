"""HTTP to the one configured server: limits, deadlines, errors, paging."""
