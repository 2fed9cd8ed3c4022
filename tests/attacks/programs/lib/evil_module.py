"""Planted under a standard module's name: says so when anything but the program's own import runs it."""

raise ImportError("planted module")
