"""From views to what a chat network shows: templates, escaping, layout, columns."""
