"""Beam search: the most likely continuation that a few paths at a time can find."""

from collections.abc import Callable

import torch
from torch import Tensor

Advance = Callable[[Tensor, Tensor, int], Tensor]


@torch.no_grad()
def beam_search(advance: Advance, x: Tensor, given: Tensor, start: int, beam: int) -> Tensor:
    """Sequences `[B, D]` with what is hidden set to a likely continuation of what is given, one value after another.

    At every step each of `beam` paths is continued in all ways and the most likely ones are kept. The greedy path takes
    the likeliest value every time and keeps a place of its own, so that no width finds less than it. A beam that holds
    all continuations finds the most likely one; a narrower one may lose it, even where one narrower still does not.

    Arguments:
        advance: logits `[B * beam, L]` of the values at step t, from the tokens `[B * beam]` before it, the paths
            `[B * beam]` whose pasts they continue (rows of the call before), and t.
        x: integers `[B, D]` in the order in which the model reads them.
        given: `[B, D]`, True where x is kept.
        start: the token before the first value.
        beam: paths for each sequence.

    Raises:
        ValueError: a beam without a path.

    References:
        The Harpy speech recognition system (Lowerre, 1976).
    """
    if beam < 1:
        raise ValueError(f"a beam holds one path or more, not {beam}")
    (B, D), device = x.shape, x.device
    first = torch.arange(B, device=device)[:, None] * beam  # the row of each sequence's first path
    paths = x.repeat_interleave(beam, 0).view(B, beam, D)
    score = torch.full((B, beam), -torch.inf, dtype=torch.float64, device=device)  # log p(path | given)
    score[:, 0] = 0.0  # one path has begun; the others are empty places
    greedy = torch.zeros(B, 1, dtype=torch.long, device=device)  # where among the paths the greedy one stands
    token, rows = x.new_full((B * beam,), start), torch.arange(B * beam, device=device)
    for t in range(D):
        log_p = advance(token, rows, t).double().log_softmax(-1).view(B, beam, -1)
        known = given[:, t, None, None]
        # a given value is certain: it costs nothing, and no other is possible
        certain = torch.full_like(log_p, -torch.inf).scatter(2, x[:, t, None, None].expand(B, beam, 1), 0.0)
        log_p = torch.where(known, certain, log_p)
        L = log_p.shape[-1]
        total = (score[:, :, None] + log_p).flatten(1)  # [B, beam * L]
        kept = total.topk(beam, 1).indices  # the best first
        likeliest = log_p.gather(1, greedy[:, :, None].expand(B, 1, L)).argmax(-1)  # [B, 1]
        onward = greedy * L + likeliest
        lost = ~(kept == onward).any(1)
        kept[lost, -1] = onward[lost, 0]
        greedy = (kept == onward).int().argmax(1, keepdim=True)
        score, parent = total.gather(1, kept), kept // L
        paths = paths.gather(1, parent[:, :, None].expand(B, beam, D))
        paths[:, :, t] = kept % L
        token, rows = paths[:, :, t].flatten(), (first + parent).flatten()
    best = score.argmax(1)
    return paths[torch.arange(B, device=device), best]
