"""Simulations at full size: how often what nbkit says is wrong."""
