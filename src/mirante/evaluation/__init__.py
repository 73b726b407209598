"""How far to trust a model: figures with intervals, plots, the report, the ranking."""
