"""Who may do what: callers, roles and rate limits."""
