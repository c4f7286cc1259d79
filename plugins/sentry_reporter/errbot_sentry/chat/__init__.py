"""All that knows Errbot: messages and clicks of people, replies, rooms, templates, and our changes in Errbot."""
