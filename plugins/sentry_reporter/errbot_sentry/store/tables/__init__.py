"""One module per subject: the queries of its table, each a method that runs inside the caller's transaction."""
