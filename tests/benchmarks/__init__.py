"""How fast `proxyrules` is: dumps of clusters that never were, and a runner that times them.

`python -m tests.benchmarks` prints the table that docs/speed.md shows.
"""
