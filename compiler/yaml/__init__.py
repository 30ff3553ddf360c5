"""YAML text to plain values: the fast path, and ruamel.yaml for the rest."""
