#!/usr/bin/env python3
"""Writes settings.{keras,in*.npy,outputs.npy} beside this file: a model of layers with settings that the golden cases
lack, and Keras' own outputs one after another (Keras 3.15.1 on TensorFlow 2.21)."""
import os

import keras
import numpy as np
from keras import layers, ops

ACTIVATIONS = ["celu", "glu", "hard_shrink", "soft_shrink", "tanh_shrink", "squareplus", "sparse_plus",
               "sparse_sigmoid", "log_sigmoid"]

keras.utils.set_random_seed(3)
sequence = keras.Input((5, 4), name="sequence")
picture = keras.Input((6, 7, 3), name="picture")
outputs = [layers.Activation(name)(sequence) for name in ACTIVATIONS]
for kind in (layers.LSTM, layers.GRU, layers.SimpleRNN):
    # An encoder whose states start a decoder, and both directions apart with their states.
    states = kind(3, return_state=True)(sequence)[1:]
    outputs.append(kind(3, return_sequences=True)(sequence, initial_state=states))
    outputs += layers.Bidirectional(kind(2, return_sequences=True, return_state=True), merge_mode=None)(sequence)
    outputs += layers.Bidirectional(kind(2, return_state=True), merge_mode="ave")(sequence)
outputs += [
    layers.LayerNormalization(rms_scaling=True)(sequence),
    layers.LayerNormalization(axis=[-1, 1])(sequence),
    layers.Conv1DTranspose(3, 4, strides=3, padding="same", activation="relu")(sequence),
    layers.Conv1DTranspose(2, 3, strides=2)(sequence),
    layers.Resizing(9, 4)(picture),
    layers.RandomFlip()(picture),
    ops.matmul(sequence, ops.transpose(sequence, (0, 2, 1))),
    ops.clip(ops.reshape(picture, (-1, 21, 6)), -0.5, 0.25),
    ops.expand_dims(ops.max(sequence, axis=-1), -2),
]
model = keras.Model([sequence, picture], outputs)
random = np.random.default_rng(3)
for weight in model.weights:
    if weight.dtype == "float32":
        weight.assign(weight + random.normal(0, 0.3, weight.shape))
here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "settings")
inputs = [random.normal(0, 1.5, (2,) + t.shape[1:]).astype(np.float32) for t in model.inputs]
model.save(here + ".keras")
for i, array in enumerate(inputs):
    np.save("%s.in%d.npy" % (here, i), array)
values = model(inputs, training=False)
np.save(here + ".outputs.npy", np.concatenate([np.asarray(v, np.float32).ravel() for v in values]))
