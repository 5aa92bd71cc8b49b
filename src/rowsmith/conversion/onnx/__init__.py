"""One ONNX file of a model: a graph of its own parts, from the columns of a row to its answer.

It is made from the inert `State` of the model, so that a part of an unknown kind is refused and never guessed. The
graph reckons in float64, as the model does. Sums of leaves and layers are exact there too; exponentials, logarithms
and cosines are the runtime's own, whose last bits may be others, which is why a tolerance is stated.
"""
