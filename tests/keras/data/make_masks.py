#!/usr/bin/env python3
"""Writes masks.* (Keras 3.15.1) or, with the argument tf_keras, keras2_masks.* (tf_keras 2.21): a model whose layers take,
pass on and join masks, with layers that the two versions compute differently, and its outputs one after another."""
import importlib
import os
import sys

import numpy as np

keras = importlib.import_module(sys.argv[1] if len(sys.argv) > 1 else "keras")
keras2 = keras.__name__ == "tf_keras"
layers = keras.layers

ids = keras.Input((6,), dtype="int32", name="a_ids")
steps = keras.Input((6, 3), name="b_steps")
volume = keras.Input((3, 4, 5, 2), name="c_volume")
words = layers.Embedding(9, 4, mask_zero=True)(ids)
dense = layers.Dense(4, activation="hard_sigmoid")(words)
both = layers.Bidirectional(layers.GRU(2, return_sequences=True))(dense)
marked = layers.Masking(-1.0)(steps)
cells = [layers.LSTMCell(3), layers.GRUCell(2)]
inner = keras.Sequential([keras.Input((6, 3)), layers.Masking(-1.0), layers.SimpleRNN(2)])
outputs = [
    layers.LSTM(3, return_sequences=True)(layers.Dropout(0.1)(words)),
    both,
    layers.LSTM(2, go_backwards=True)(both),
    layers.GlobalAveragePooling1D()(layers.TimeDistributed(layers.Dense(3))(words)),
    layers.MultiHeadAttention(2, 3)(words, dense),
    layers.Attention()([words, dense]),
    layers.AdditiveAttention()([words, dense]),
    layers.RNN(cells, return_sequences=True)(marked),
    layers.GRU(2)(layers.Concatenate()([words, dense])),
    layers.GRU(2)(layers.Concatenate(axis=1)([words, dense])),
    layers.SimpleRNN(2)(layers.Add()([words, dense])),
    inner(steps),
    layers.Conv3DTranspose(2, (2, 3, 1), strides=(2, 1, 2), padding="same")(volume),
    layers.Conv3DTranspose(2, 2, strides=3)(volume),
    layers.ConvLSTM1D(2, 3, padding="same", return_sequences=True)(layers.Reshape((3, 4, 10))(volume)),
    layers.Softmax(axis=[1, 3])(volume),
    layers.Activation("hard_sigmoid")(steps),
]
if keras2:
    outputs.append(layers.ThresholdedReLU(0.2)(steps))
model = keras.Model([ids, steps, volume], outputs)
random = np.random.default_rng(7)
for weight in model.weights:
    weight.assign(random.normal(0, 0.5, weight.shape))
inputs = [random.integers(1, 9, (3, 6)).astype(np.int32), random.normal(0, 1, (3, 6, 3)).astype(np.float32),
          random.normal(0, 1, (3, 3, 4, 5, 2)).astype(np.float32)]
for array, value in ((inputs[0], 0), (inputs[1], -1.0)):
    array[0, 4:] = array[1, 2:] = array[2, 3] = value
here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "keras2_masks" if keras2 else "masks")
model.save(here + (".h5" if keras2 else ".keras"))
for i, array in enumerate(inputs):
    np.save("%s.in%d.npy" % (here, i), array)
values = model(inputs, training=False)
np.save(here + ".outputs.npy", np.concatenate([np.asarray(v, np.float32).ravel() for v in values]))
print(len(outputs))
