"""Stand-ins for servers, at borders that tests cannot have, and in memory for the flows."""
