"""Makes keras2_attention.keras, its input and its output with Keras 2 (tf_keras 2.21), which names the folders of a
MultiHeadAttention's weights after private attributes."""
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tf_keras as keras
from tf_keras import layers

x = keras.Input((3, 4))
y = layers.LayerNormalization()(layers.MultiHeadAttention(2, 3, value_dim=2)(x, x))
model = keras.Model(x, y)
random = np.random.default_rng(3)
for weight in model.weights:
    weight.assign(random.normal(0, 0.5, weight.shape))
array = random.normal(0, 1, (2, 3, 4)).astype(np.float32)
here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "keras2_attention")
model.save(here + ".keras")
np.save(here + ".in0.npy", array)
np.save(here + ".outputs.npy", np.asarray(model(array)).ravel())
