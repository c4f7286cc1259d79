"""What tests of the alert flow are made of: a virtual clock, a server of issues, a chat, bodies of webhooks."""
