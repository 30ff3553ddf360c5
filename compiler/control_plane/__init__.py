"""What the control plane adds to hand-written manifests: addresses, cluster IPs, EndpointSlices."""
