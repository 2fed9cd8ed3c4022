"""The embedded provider: real isolation on this machine, by Linux namespaces, with interpreters that wait started."""
