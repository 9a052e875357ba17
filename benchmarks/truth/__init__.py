"""Full-size simulations: how often what nbkit says is true, and what it costs to check."""
