"""Parts of the house that are killed, starved or filled up under load."""
