"""The floor of the house: errors, settings and shared value types. Imports nothing of sandql."""
