"""What runs inside the isolation. Only the standard library: the interpreter of a cell does not know sandql."""
