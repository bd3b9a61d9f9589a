"""Writes bert_model.ckpt.*: a BERT of 2 layers as TensorFlow's Saver does (needs tensorflow; 2.16.1 wrote what is here).

The n-th weight by its name's place in the alphabet holds n, n + 1/1024, n + 2/1024, …"""

import pathlib

import numpy
import tensorflow

HIDDEN, INNER, LAYERS, WORDS, POSITIONS = 8, 12, 2, 20, 16
shapes = {}


def norm(name):
    shapes[f"{name}/LayerNorm/gamma"] = shapes[f"{name}/LayerNorm/beta"] = (HIDDEN,)


def dense(name, inputs, outputs):
    shapes[f"{name}/kernel"], shapes[f"{name}/bias"] = (inputs, outputs), (outputs,)


for table, rows in (("word", WORDS), ("position", POSITIONS), ("token_type", 2)):
    shapes[f"bert/embeddings/{table}_embeddings"] = (rows, HIDDEN)
norm("bert/embeddings")
for layer in range(LAYERS):
    block = f"bert/encoder/layer_{layer}"
    for product in ("query", "key", "value"):
        dense(f"{block}/attention/self/{product}", HIDDEN, HIDDEN)
    dense(f"{block}/attention/output/dense", HIDDEN, HIDDEN)
    dense(f"{block}/intermediate/dense", HIDDEN, INNER)
    dense(f"{block}/output/dense", INNER, HIDDEN)
    norm(f"{block}/attention/output")
    norm(f"{block}/output")
dense("bert/pooler/dense", HIDDEN, HIDDEN)
dense("cls/predictions/transform/dense", HIDDEN, HIDDEN)
norm("cls/predictions/transform")
shapes["cls/predictions/output_bias"] = (WORDS,)
shapes["cls/seq_relationship/output_weights"] = (2, HIDDEN)
shapes["cls/seq_relationship/output_bias"] = (2,)

values = {
    name: (n + numpy.arange(numpy.prod(shapes[name])) / 1024).reshape(shapes[name])
    for n, name in enumerate(sorted(shapes))
}
values["bert/pooler/dense/kernel/adam_m"] = numpy.zeros((HIDDEN, HIDDEN))

tf = tensorflow.compat.v1
tf.disable_eager_execution()
for name, value in values.items():
    tf.get_variable(name, initializer=value.astype("float32"))
tf.get_variable("global_step", initializer=numpy.int64(5))
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    here = pathlib.Path(__file__).parent
    tf.train.Saver().save(session, str(here / "bert_model.ckpt"), write_meta_graph=False)
(here / "checkpoint").unlink()
