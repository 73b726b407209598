"""fastai's fine_tune of EfficientNet-Lite0 (through timm) for a number of seconds. Prints a line of JSON.

python fastai_photos_side.py FOLDER SECONDS SEED SIZE WEIGHTS.pth     (FOLDER holds train/ and test/ with class folders)

It makes as many epochs as fit into the seconds by what the first batches take. Nothing is held out and no figures are computed on
the way, so that all images and all seconds go into training.
"""

import itertools
import json
import sys
import time

import torch
from fastai.vision.all import (
    CategoryBlock,
    CrossEntropyLossFlat,
    DataBlock,
    ImageBlock,
    Normalize,
    Resize,
    accuracy,
    aug_transforms,
    get_image_files,
    parent_label,
    set_seed,
    vision_learner,
)

folder, seconds, seed, size, weights = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
set_seed(seed)
count = len(get_image_files(f"{folder}/train"))
images = DataBlock(
    blocks=(ImageBlock, CategoryBlock),
    get_items=get_image_files,
    get_y=parent_label,
    splitter=lambda items: (list(range(len(items))), []),
    item_tfms=Resize(size),
    batch_tfms=[*aug_transforms(size=size), Normalize.from_stats((0.5,) * 3, (0.5,) * 3)],
).dataloaders(f"{folder}/train", bs=min(64, max(8, count // 4)), num_workers=0)


def learner_of():
    learner = vision_learner(images, "tf_efficientnet_lite0", pretrained=False, loss_func=CrossEntropyLossFlat())
    learner.model[0].model.load_state_dict(torch.load(weights))
    learner.freeze()
    return learner


def epoch_seconds(learner):
    """Return what an epoch takes, from four batches after a first one."""
    learner.model.train()
    batches = itertools.chain.from_iterable(itertools.repeat(images.train))
    clock = []
    for pixels, wanted in itertools.islice(batches, 5):
        learner.loss_func(learner.model(pixels), wanted).backward()
        clock.append(time.monotonic())
    return (clock[-1] - clock[0]) / 4 * len(images.train)


trial = learner_of()
frozen = epoch_seconds(trial)
trial.unfreeze()
epochs = max(1, int((seconds - frozen) / epoch_seconds(trial)))
learner = learner_of()
with learner.no_bar(), learner.no_logging():
    began = time.monotonic()
    learner.fine_tune(epochs)
    trained = time.monotonic() - began
    tests = images.test_dl(get_image_files(f"{folder}/test"), with_labels=True)
    right = float(accuracy(*learner.get_preds(dl=tests)))
print(json.dumps({"accuracy": right, "seconds": trained, "epochs": epochs}))
