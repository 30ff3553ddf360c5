"""The rules, one class per module; the registry finds them here."""
