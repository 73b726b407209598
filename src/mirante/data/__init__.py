"""Where images come from: sources, labels, splits, and the cache in which each is decoded once.

Knows nothing of torch. What flows through: entries (path and bytes) → a scan (digest and size of each) → a Dataset
(labels and splits) → one uint8 array (N, height, width, channels).
"""
