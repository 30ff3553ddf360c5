"""What session affinity will do: rules, clients and changes played through in simulated time.

`table` derives from the evaluator what rules ask of `xt_recent` lists and what they do then,
`recent` keeps such lists as the kernel does, `node` and `play` send the connections through them.
`load` says who connects when, `world` and `events` change the manifests, `answers` sums up.
"""
