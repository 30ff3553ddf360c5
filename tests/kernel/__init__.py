"""Tests that put rules into a real kernel, in network namespaces of their own."""
