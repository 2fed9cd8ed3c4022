"""Where sandboxes come from: the protocols, the registry, and one module or folder a provider."""
