"""A module applied in a graph of its own, and texts that are hard to split."""

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub

HARD_TEXTS = [
    "",
    " \t\r\n ",
    "one",
    "Don't STOP, 'quoted' words -- a_b-c.d",
    "ÀÉÎ straße ŒUVRE ΑΣ ǅ ПРИВЕТ",
    "日本語 テキスト 中文,分词",
    "emoji 👍🏽 between zero\u200bwidth and non\u00a0breaking\u2028lines",
    "1,000.50 ² ½ ٣٤ Ⅷ",
    "combining e\u0301 and \u0915\u094d\u0937",
    "NUL\x00inside",
    "one two one two three four five",
    "<tag attr=\"a\">&amp;\\n $^.*[x]",
    "word " * 500,
]


class Applied:
    """A module in a graph of its own, with a session."""

    def __init__(self, spec, *, tags=None, trainable=False, signature="default"):
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf1.set_random_seed(1)
            self.module = hub.Module(spec, trainable=trainable, tags=tags)
            infos = self.module.get_input_info_dict(signature)
            self.inputs = {name: tf1.placeholder(info.dtype, info.get_shape()) for name, info in infos.items()}
            self.outputs = self.module(self.inputs, signature=signature, as_dict=True)
            self.session = tf1.Session()
            self.session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])

    def __call__(self, output="default", **inputs):
        return self.session.run(self.outputs[output], {self.inputs[name]: inputs[name] for name in inputs})

    def collection(self, key):
        return self.session.run(self.graph.get_collection(key))

    def load(self, name, value):
        with self.graph.as_default():
            self.module.variable_map[name].load(value, self.session)

    def values(self):
        return self.session.run(self.module.variable_map)
