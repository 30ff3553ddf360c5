"""Reading manifests and configuration: bytes to typed objects."""
