"""Python in a cell against `python3 main.py`."""
