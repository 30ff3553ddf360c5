"""The test box: network namespaces on one machine that stand in for a cluster.

One namespace is the node that the rules are compiled for, one stands for every endpoint, some for
clients. The real kernel takes the rules and real connections run through them, so that what
kube-proxy would do to a packet is seen rather than believed. All of it lives inside namespaces of
its own, none of which has a way out; nothing else on the machine is touched.
"""
