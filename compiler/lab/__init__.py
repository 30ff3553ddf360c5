"""The lab: network namespaces of one machine that represent a node, its endpoints and clients.

The machine's kernel takes the rules, and real connections pass through them. No namespace has a
route out of the lab, and nothing else on the machine is changed.
"""
