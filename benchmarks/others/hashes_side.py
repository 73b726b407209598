"""What imagehash and cleanlab find: pairs of images by perceptual hash, and a ranking of labels. Prints JSON lines."""

import json
import sys
import time
from pathlib import Path

import imagehash
import numpy as np
from cleanlab.rank import get_label_quality_scores
from PIL import Image, ImageOps

folder, asked = Path(sys.argv[1]), np.load(sys.argv[2])
paths = sorted(path for path in folder.rglob("*") if path.is_file())
began = time.monotonic()
hashes = {}
for turn in ("plain", "mirrored"):
    found = []
    for path in paths:
        with Image.open(path) as image:
            found.append(imagehash.phash(ImageOps.mirror(image) if turn == "mirrored" else image).hash.ravel())
    hashes[turn] = np.array(found, np.float32)
plain = 2 * hashes["plain"] - 1
for limit in (2, 6, 10):
    pairs = set()
    for turn in hashes.values():
        near = np.argwhere((64 - plain @ (2 * turn - 1).T) / 2 <= limit)
        pairs |= {(int(one), int(other)) for one, other in near if one < other}
    names = [[paths[row].relative_to(folder).as_posix() for row in pair] for pair in pairs]
    print(json.dumps({"limit": limit, "pairs": names, "seconds": time.monotonic() - began}))
scores = get_label_quality_scores(asked["labels"], asked["probabilities"], method="normalized_margin")
print(json.dumps({"order": np.argsort(scores, kind="stable").tolist()}))
