"""Hostile programs, and what a house must look like after each of them."""
