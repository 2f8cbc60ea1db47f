#!/usr/bin/env python3
"""Writes layers.{keras,h5,in*.npy,outputs.npy} beside this file: layers and calls of keras.ops that neither the golden
cases nor settings.keras have, and Keras' own outputs one after another (Keras 3.15.1 on TensorFlow 2.21)."""
import os

import keras
import numpy as np
from keras import layers, ops

keras.utils.set_random_seed(5)
sequence = keras.Input((6, 4), name="sequence")
picture = keras.Input((5, 6, 8), name="picture")
volume = keras.Input((4, 5, 6, 2), name="volume")
first = keras.Input((3, 8, 7), name="first")  # channels first
tokens = keras.Input((5,), dtype="int32", name="tokens")  # 0 is masked

# A model within a model whose name is not part of its layers' weights in HDF5.
inner = keras.Sequential([keras.Input((4,)), layers.Dense(5, activation="tanh"), layers.BatchNormalization()])
between = keras.Input((4,))
nested = keras.Sequential([keras.Input((4,)), keras.Model(between, layers.Dense(3)(inner(between))), layers.ReLU()])
row = sequence[:, 2]

split = ops.split(sequence, [1, 4], axis=1)
outputs = [
    nested(row),
    layers.Add()([sequence, layers.Dense(4)(row)]),
    layers.Dot(axes=1, normalize=True)([row, sequence[:, -1]]),
    layers.Dot(axes=(2, 2), normalize=True)([sequence, sequence]),
    layers.Attention()([sequence, sequence], use_causal_mask=True),
    *layers.MultiHeadAttention(2, 3)(sequence, sequence, return_attention_scores=True),
    layers.RNN(layers.LSTMCell(3), return_sequences=True, return_state=False)(sequence),
    layers.RNN(layers.GRUCell(3), go_backwards=True)(sequence),
    layers.GroupNormalization(4)(picture),
    layers.GroupNormalization(-1, center=False)(picture),
    layers.GroupNormalization(3, axis=1)(sequence),
    layers.RMSNormalization()(sequence),
    layers.EinsumDense("abc,cd->abd", output_shape=(None, 7), bias_axes="d", activation="relu")(sequence),
    layers.EinsumDense("abc,cde->abde", output_shape=(6, 2, 3))(sequence),
    layers.EinsumDense("abc,bd->adc", output_shape=(5, 4), bias_axes="dc")(sequence),
    layers.EinsumDense("...x,xy->...y", output_shape=3)(sequence),
    layers.CenterCrop(3, 2)(picture),
    layers.MaxPooling3D((3, 2, 3), strides=(1, 2, 2), padding="same")(volume),
    layers.AveragePooling3D((2, 3, 2), strides=(1, 2, 2), padding="same")(volume),
    layers.AveragePooling3D(2)(volume),
    layers.UpSampling3D((2, 1, 3))(volume),
    layers.ConvLSTM2D(3, (2, 3), padding="same", return_sequences=True)(volume),
    layers.ConvLSTM2D(2, 3, strides=(2, 1), activation="relu", go_backwards=True)(volume),
    layers.MaxPooling2D(2, data_format="channels_first")(layers.ZeroPadding2D(1, data_format="channels_first")(first)),
    layers.GlobalAveragePooling2D(data_format="channels_first")(first),
    layers.Flatten(data_format="channels_first")(first),
    ops.var(sequence, axis=-1, keepdims=True),
    ops.std(sequence, axis=1),
    ops.norm(sequence, axis=-1),
    ops.normalize(sequence, axis=1),
    ops.logsumexp(sequence, axis=-1),
    ops.log1p(ops.abs(sequence)),
    ops.squeeze(ops.expand_dims(sequence, 2), 2),
    *split,
    ops.stack([sequence, sequence * 2.0], axis=1),
    sequence[:, ::2, 1:],
    sequence[:, -4:-1, -1],
    ops.pad(sequence, ((0, 0), (1, 2), (0, 1))),
    ops.tile(sequence, (1, 2, 3)),
    ops.flip(sequence, 1),
    ops.cumsum(sequence, axis=1),
    ops.where(sequence > 0.1, sequence, 0.5),
    ops.where(ops.less_equal(sequence, 0.0), sequence, ops.sin(sequence)),
    ops.cast(ops.argmax(picture, axis=-1), "float32"),
    ops.take(sequence, [0, 2, -1], axis=1),
    ops.swapaxes(sequence, 1, 2),
    ops.moveaxis(picture, 1, 3),
    ops.einsum("bij,bkj->bik", sequence, sequence),
    ops.leaky_relu(sequence), ops.gelu(sequence), ops.elu(sequence), ops.log_softmax(sequence),
    ops.cos(sequence), ops.floor(sequence), ops.ceil(sequence), ops.sign(sequence),
    ops.mod(sequence, 0.7), ops.floor_divide(sequence, 0.7), ops.prod(sequence, axis=1),
    ops.max_pool(picture, 2), ops.average_pool(picture, 3, strides=2, padding="same"),
    layers.LSTM(3, return_sequences=True)(layers.Masking(0.0)(sequence)),
    layers.GRU(3)(layers.Masking(9.0)(sequence)),
    layers.GRU(3, go_backwards=True, return_sequences=True)(layers.Embedding(7, 4, mask_zero=True)(tokens)),
    layers.SimpleRNN(3, return_state=True)(layers.Embedding(7, 4, mask_zero=True)(tokens))[1],
]
model = keras.Model([sequence, picture, volume, first, tokens], outputs)
random = np.random.default_rng(5)
for weight in model.weights:
    if weight.dtype == "float32":
        weight.assign(weight + random.uniform(0.0, 0.3, weight.shape))
here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "layers")
inputs = [random.normal(0, 1.0, (2,) + t.shape[1:]).astype(np.float32) for t in model.inputs[:4]]
inputs[0][0, :2] = inputs[0][1, 4] = 0.0  # masked steps
inputs[0][1, 2] = 9.0
inputs.append(np.array([[3, 0, 6, 0, 0], [0, 1, 2, 5, 0]], np.int32))
model.save(here + ".keras")
model.save(here + ".h5")
for i, array in enumerate(inputs):
    np.save("%s.in%d.npy" % (here, i), array)
values = model(inputs, training=False)
np.save(here + ".outputs.npy", np.concatenate([np.asarray(v, np.float32).ravel() for v in values]))
