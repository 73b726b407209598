"""yolov8n-cls from scratch, images in memory, for a number of seconds. Prints a line of JSON an epoch.

python ultralytics_side.py FOLDER SECONDS [SEED SIZE]       (FOLDER holds train/ and test/ with class folders; 32 pixels)
"""

import csv
import json
import sys
import tempfile
from pathlib import Path

from ultralytics import YOLO

seed, size = map(int, sys.argv[3:5] or (0, 32))
out = tempfile.mkdtemp()
YOLO("yolov8n-cls.yaml").train(
    data=sys.argv[1],
    imgsz=size,
    batch=128 if size <= 64 else 16,
    seed=seed,
    cache=True,
    workers=2,
    time=float(sys.argv[2]) / 3600,
    pretrained=False,
    device="cpu",
    project=out,
    name="run",
    plots=False,
    verbose=False,
)
for row in csv.DictReader(next(Path(out).rglob("results.csv")).open()):
    named = {key.strip(): float(value) for key, value in row.items()}
    print(
        json.dumps({"epoch": named["epoch"], "seconds": named["time"], "accuracy": named["metrics/accuracy_top1"]}),
        flush=True,
    )
