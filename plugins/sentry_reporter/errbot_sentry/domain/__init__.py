"""Plain values and rules that all parts share. Nothing here does I/O."""
