"""Answers about rules, one module a question."""
