"""Webhook bodies of every sender and type, one file each, for whoever tests what becomes of them."""
