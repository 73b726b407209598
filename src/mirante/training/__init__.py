"""How a network is trained: recipes, augmentation, the loop, checkpoints. Writes into a run folder, draws nothing."""
