"""JSON in and out of the domain's nouns, one module per kind of payload."""
