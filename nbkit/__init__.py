"""Notebooks that carry a machine-learning model through its whole life."""
