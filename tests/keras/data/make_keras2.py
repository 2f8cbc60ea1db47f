#!/usr/bin/env python3
"""Writes keras2_nested.*: a Keras 2 model with a nested model that is called twice.

python3 make_keras2.py (tf_keras 2.21, the last of Keras 2's line).
"""

import numpy as np
import tf_keras as keras

image = keras.Input((6, 6, 2))
x = keras.layers.Conv2D(3, 3, name="first")(image)
x = keras.layers.BatchNormalization()(x)
inner = keras.Sequential(
    [keras.layers.Conv2D(3, 1, name="inside"), keras.layers.BatchNormalization()], name="inner")
y = inner(inner(x))
x = keras.layers.Add()([x, y])
x = keras.layers.LeakyReLU(0.1)(keras.layers.Flatten()(x))
model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(x))
random = np.random.RandomState(0)
for weight in model.weights:
    weight.assign(random.uniform(0.1, 1, weight.shape))
model.save("keras2_nested.keras")
model.save("keras2_nested.h5")
model.save_weights("keras2_nested.weights.h5")
model.save_weights("keras2_nested.old_weights.h5", save_format="h5")
with open("keras2_nested.json", "w") as f:
    f.write(model.to_json())
data = random.uniform(-1, 1, (2, 6, 6, 2)).astype(np.float32)
np.save("keras2_nested.in0.npy", data)
np.save("keras2_nested.out0.npy", model.predict(data, verbose=0))
