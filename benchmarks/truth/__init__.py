"""Full-size simulations: coverage, false alarms and power, a subject a file."""
