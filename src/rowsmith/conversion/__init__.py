"""Conversion: a model in forms that other runtimes evaluate, and the rows on which the two forms are compared."""
