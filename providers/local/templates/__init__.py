"""What templates are built of: a lock of packages (.txt), and what the zygote runs before any cell is made (.preload, which is Python)."""
