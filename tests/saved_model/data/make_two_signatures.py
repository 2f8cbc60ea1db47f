"""Makes two_signatures/ with TensorFlow, and prints what its signatures give for the inputs in the test."""
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(1)


class Model(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable(rng.normal(size=(4, 3)).astype("float32"), name="w")
        self.b = tf.Variable(rng.normal(size=3).astype("float32"), name="b")

    @tf.function
    def serve(self, x):
        return {"y": tf.nn.softmax(x @ self.w + self.b)}

    @tf.function
    def hidden(self, x):
        return {"h": tf.nn.relu(x @ self.w + self.b)}


model = Model()
spec = tf.TensorSpec([None, 4], tf.float32, name="x")
signatures = {"serving_default": model.serve.get_concrete_function(spec),
              "hidden": model.hidden.get_concrete_function(spec)}
tf.saved_model.save(model, "two_signatures", signatures=signatures)
x = np.array([[1, -2, 0.5, 3], [0.25, 1, -1, 0]], "float32")
print(model.serve(x)["y"].numpy().ravel().tolist(), model.hidden(x)["h"].numpy().ravel().tolist())
