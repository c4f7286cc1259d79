"""HTTP calls to the configured server: limits, deadlines, errors, paging."""
