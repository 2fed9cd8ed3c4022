"""sandql runs untrusted code in sandboxes and keeps their files, with GraphQL as its first language."""
