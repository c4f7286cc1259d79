"""A real bot with the real backend package on each network, against its server or a stand-in."""
