"""Makes nested.keras, its inputs and its outputs: models within a model, called several times, with a mask, with two inputs. Keras 3.15.

Keras 3 counts the calls of a nested functional model from 1 where they are the model's outputs, else from 0.
"""
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
from keras import layers

keras.utils.set_random_seed(7)


def dense_model(name):
    i = keras.Input((4,))
    return keras.Model(i, layers.Dense(4, activation="tanh")(i), name=name)


tokens, x = keras.Input((5,), dtype="int32", name="in0"), keras.Input((4,), name="in1")
i = keras.Input((5, 3))
reader = keras.Model(i, layers.LSTM(2)(i), name="reader")
read = reader(layers.Embedding(6, 3, mask_zero=True)(tokens))
first, last, both, chain = (dense_model(n) for n in ("first", "last", "both", "chain"))
a = first(x)  # an output, and its second call is not
b = last(last(x))  # the second call is an output
c = both(x)
d = both(c)
chain_end = chain(chain(chain(x)))
keys, query = keras.Input((5, 3)), keras.Input((3,))  # two inputs, merged along one dimension of each
scores = layers.Softmax()(layers.Dot(axes=(2, 1))([keys, query]))
attend = keras.Model([keys, query], layers.Dot(axes=(1, 1), normalize=True)([scores, keys]), name="attend")
attended = attend([layers.Embedding(6, 3)(tokens), x[:, 1:]])
blocks = layers.Dot(axes=(-1, 2))([layers.Reshape((2, 1, 2))(x), layers.Reshape((1, 2, 2))(x)])
masked = layers.Embedding(6, 3, mask_zero=True)(tokens)  # Keras hands its mask to the LSTM by way of convert_to_tensor
tuned = layers.LSTM(2)(layers.AdditiveAttention()([layers.MultiHeadAttention(1, 2)(masked, masked)] * 2))
sequential = keras.Sequential([keras.Input((4,)), layers.Dense(3)], name="sequential")
outputs = [read, a, layers.Activation("relu")(first(a)), b, c, d, chain_end + 1.0, sequential(sequential(x)[:, :1] + x), attended, blocks, tuned]
model = keras.Model([tokens, x], outputs)
for w in model.weights:
    w.assign(np.random.default_rng(len(w.path)).standard_normal(w.shape).astype(np.float32))
inputs = [np.array([[1, 2, 0, 0, 0], [3, 4, 5, 1, 0]], np.int32), np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)]
for n, value in enumerate(inputs):
    np.save(f"nested.in{n}.npy", value)
np.save("nested.outputs.npy", np.concatenate([np.asarray(y).ravel() for y in model(inputs)]))
model.save("nested.keras")
