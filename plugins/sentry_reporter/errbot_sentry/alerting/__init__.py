"""Flow 3, server to rooms: each new problem is in the right room once, the noise folded away."""
