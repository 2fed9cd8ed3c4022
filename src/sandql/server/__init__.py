"""The door: the ASGI application and everything that knows HTTP."""
