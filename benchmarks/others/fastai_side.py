"""xresnet18 from scratch, one cycle, at the images' own size. Prints a line of JSON after each epoch.

python fastai_side.py FOLDER EPOCHS        (FOLDER holds train/ and test/ with class folders)
"""

import json
import sys
import time

from fastai.vision.all import (
    Callback,
    CrossEntropyLossFlat,
    Flip,
    ImageDataLoaders,
    Learner,
    RandomCrop,
    accuracy,
    xresnet18,
)


class Tell(Callback):
    order = 60  # after the recorder, which knows the figures

    def before_fit(self):
        self.began = time.monotonic()

    def after_epoch(self):
        found = {"epoch": self.epoch + 1, "seconds": time.monotonic() - self.began}
        print(json.dumps({**found, "accuracy": float(self.recorder.values[-1][-1])}), flush=True)


images = ImageDataLoaders.from_folder(
    sys.argv[1], train="train", valid="test", bs=64, num_workers=2, item_tfms=RandomCrop(32), batch_tfms=Flip()
)
learner = Learner(images, xresnet18(n_out=10), loss_func=CrossEntropyLossFlat(), metrics=accuracy, cbs=[Tell()])
with learner.no_bar(), learner.no_logging():
    learner.fit_one_cycle(int(sys.argv[2]), 3e-3)
