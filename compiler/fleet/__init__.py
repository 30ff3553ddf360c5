"""All nodes of a cluster: the same work for each of them, on one machine or several."""
