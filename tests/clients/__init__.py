"""Real clients, from npm and PyPI, against a real server."""
