"""Reference implementations of every family of generative model, one file each.

A baseline opens with what it is and the paper it teaches, defines layers first and the model last, and
ends in PRESETS (how it is trained on each dataset) and `build`, which makes the model for a space: the
class itself, or a function where the space decides on the class. The options and their defaults stand in
its signature and nowhere else; a `partial` of it is a baseline that differs in some of them. The folder
says the family. Layers that several families share stand in `_layers.py` and `_observations.py`.
"""
