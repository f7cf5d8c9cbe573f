"""Where the parts of a version are, relative to its directory; the directory itself is a TF1 Hub module."""

import os

EXTRA = os.path.join("assets.extra", "hubpipe")  # readers of the format ignore it
TWIN = "tf2"  # a Reusable SavedModel
GOLDEN = os.path.join(EXTRA, "golden.npz")  # inputs, and the outputs they must give
HEAD = os.path.join(EXTRA, "head")  # prefix of a tensor bundle: the variables of the model outside the module
LABELS = os.path.join(EXTRA, "labels.txt")  # names of the classes that the head tells apart, one per line
VERDICT = os.path.join(EXTRA, "verdict.json")  # what the gates answered
