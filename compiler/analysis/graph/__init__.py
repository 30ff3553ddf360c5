"""The way of a service port's traffic as a graph: entry points, chains, endpoints, ends."""
