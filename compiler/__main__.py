"""`python -m compiler` is `proxyrules`."""

from compiler.cli import run

run()
