"""The behaviours, by subject."""
