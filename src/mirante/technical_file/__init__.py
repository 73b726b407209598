"""The technical file of a model: what a board, or Annex IV of the EU's AI Act (Regulation 2024/1689), asks about it, from its run."""
