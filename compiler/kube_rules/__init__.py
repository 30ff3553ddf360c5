"""What kube-proxy's rules on a node mean: its chains, jumps, service ports and endpoints.

It reads rules as `netfilter` gives them and knows nothing of how they came about, so that it stays
an independent witness of what was written.
"""
