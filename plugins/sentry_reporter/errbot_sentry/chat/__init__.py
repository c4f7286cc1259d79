"""The border to Errbot: what people do in chat, replies, rooms, templates, and our changes in Errbot."""
