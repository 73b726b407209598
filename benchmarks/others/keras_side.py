"""The tutorial's model in Keras on TensorFlow: Adam, batch 32, ten epochs. Prints a line of JSON after each epoch.

python keras_side.py IMAGES.npz EPOCHS SEED      (x_train, y_train, x_test, y_test; pixels uint8)
"""

import json
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
from keras import layers


class Tell(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.monotonic() - self.began
        print(json.dumps({"epoch": epoch + 1, "seconds": seconds, "accuracy": logs["val_accuracy"]}), flush=True)


data = np.load(sys.argv[1])
keras.utils.set_random_seed(int(sys.argv[3]))
model = keras.Sequential(
    [
        layers.Input((32, 32, 3)),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10),
    ]
)
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
model.fit(
    data["x_train"] / np.float32(255),
    data["y_train"],
    epochs=int(sys.argv[2]),
    batch_size=32,
    validation_data=(data["x_test"] / np.float32(255), data["y_test"]),
    callbacks=[Tell()],
    verbose=0,
)
