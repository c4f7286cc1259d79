"""Removes from events what must not leave the bot: typed words, secrets, mail addresses."""
