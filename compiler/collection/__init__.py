"""What a cluster's administrator needs to collect dumps and metrics of nodes without SSH.

The texts are the files of this folder; `writing` fills in what is chosen. Nothing is run here.
"""
