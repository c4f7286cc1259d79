"""Renders views as messages for a chat network: templates, escaping, layout, columns."""
