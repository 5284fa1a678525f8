"""RealNVP with variational dequantisation: integers get noise that is learned, not uniform.

    log P(x) >= E_r [log q(x + u) - log r(u | x)],    u ~ r(u | x) on (0,1)^D    (Ho et al. 2019, equation 12)

A density of real numbers has no reason to be flat inside the unit cells around the integers, yet
under uniform noise its bound is tight only if it is: the flow spends its capacity on the edges of
cubes. Here u is a latent variable like that of a VAE. The bound falls short of log P(x) by
KL(r(u | x) || q(u | x)), so r learns where in the cell of x the flow puts its mass. r is a flow too: a
Gaussian whose mean and scale come from x, two couplings that see x, and a sigmoid into the cube.
The flow, its sampler and its training are those of `realnvp.py`.

References:
    Flow++ (Ho, Chen, Srinivas, Duan, Abbeel, 2019), section 3.1.
    Learning discrete distributions by dequantization (Hoogeboom, Cohen, Tomczak, 2020).
"""

from functools import partial

from . import realnvp

VERSION = 1
PRESETS = {"digits": realnvp.PRESETS["digits"]}
build = partial(realnvp.build, dequantisation="variational")
