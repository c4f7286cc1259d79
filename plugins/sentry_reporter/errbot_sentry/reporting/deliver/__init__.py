"""From events to the server: the disk, the sender, its limits."""
