"""Reference implementations of every family of generative model, one file each.

A baseline opens with what it is and the paper it teaches, says its FAMILY, defines layers first
and the model last, and ends in PRESETS (how it is trained on each dataset) and
`build(space, **options)`. Layers that several share stand in `_layers.py`.
"""
