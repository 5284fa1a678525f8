"""A causal language model over tokens as a model of text, character by character of a dataset's alphabet.

    text -> tokens w_1 .. w_n -> log p = sum_i log p(w_i | start, w_1 .. w_{i-1})

A text has a probability under every way of cutting it into tokens, and its own is their sum. What is computed is that
of the one way that the tokenizer takes: exact given the tokenisation, and a lower bound on log p(text). Where each
token is one character or one byte there is no other way, and the value is exact. No token is scored without something
before it: the first stands behind a start token, which itself is not scored.

Beyond its context the model reads windows that begin at multiples of `stride` tokens: token i is scored by the first
window that reaches it, so that every token but the first ones has at least context - stride tokens before it. Samples
are drawn by the same conditionals.

References:
    Language models are unsupervised multitask learners (Radford et al., 2019): texts of any tokenisation compared by
    bits per byte or character.
    You should evaluate your language model on marginal likelihood over tokenisations (Cao, Rimell, 2021).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from genbench.errors import ModelError, Unavailable
from genbench.space import Space

LOGITS = 2**25  # at once, in float64; or values of attention, for each of its heads
MOST = 64  # tokens drawn for each character before a sample is given up: those that spell nothing


class Text:
    """The model.

    Arguments:
        space: `[T]` places in the alphabet.
        vocabulary: the alphabet, a string.
        network: of transformers, with logits `[B, T, V]`.
        tokenizer: its own.
        start: the token that stands before every text.
        context: the most tokens that the network reads.
        stride: by which its window moves along longer texts.
        temperature: by which every logit is divided, for the likelihood as for samples.
    """

    def __init__(
        self,
        space: Space,
        vocabulary: str,
        network: Any,
        tokenizer: Any,
        *,
        start: int,
        context: int,
        stride: int,
        temperature: float = 1.0,
    ) -> None:
        self.space, self.vocabulary, self.network, self.tokenizer = space, vocabulary, network, tokenizer
        self.start, self.context, self.stride, self.temperature = start, context, stride, temperature
        self.log_prob_kind = "exact" if one_way(tokenizer, vocabulary) else "lower_bound"
        known = inspect.signature(network.forward).parameters
        self.cache = next((name for name in ("cache", "past_key_values") if name in known), None)

    # --- Text and tokens

    def texts(self, x: Any) -> list[str]:
        """`[n, T]` places in the alphabet -> n strings."""
        return ["".join(self.vocabulary[c] for c in row) for row in np.asarray(x).tolist()]

    def tokens(self, text: str) -> list[int]:
        """How the tokenizer cuts a text.

        Raises:
            ModelError: the tokens spell another text.
        """
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if (back := self.spelt(ids)) != text:
            pairs = enumerate(zip(text, back, strict=False))
            at = next((i for i, (a, b) in pairs if a != b), min(len(text), len(back)))
            raise ModelError(
                f"the tokenizer gives another text back, {back[at : at + 10]!r} in place of {text[at : at + 10]!r}: "
                "the model gives this text no probability"
            )
        return ids

    def spelt(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    # --- Likelihood

    def windows(self, ids: list[int]) -> Iterator[tuple[list[int], int]]:
        """The windows of a text: what the network reads, and how many tokens at its end are scored."""
        s, n = [self.start, *ids], len(ids)
        end = scored = min(n, self.context)
        begin = 0
        while True:
            yield s[begin : end + 1], scored
            if end == n:
                return
            begin += self.stride
            end, scored = min(n, begin + self.context), min(n, begin + self.context) - end

    def token_log_probs(self, texts: list[list[int]]) -> list[Tensor]:
        """log p of every token of each text, `[n]` float64 each; texts are read together where they fit."""
        rows = [(number, *window) for number, ids in enumerate(texts) for window in self.windows(ids)]
        longest = max((len(s) - 1 for _, s, _ in rows), default=0)
        size = max(1, LOGITS // max(1, longest * max(longest, int(self.network.config.vocab_size))))
        found: list[list[Tensor]] = [[] for _ in texts]
        for k in range(0, len(rows), size):
            part = rows[k : k + size]
            for (number, _, scored), values in zip(part, self.scores([s for _, s, _ in part]), strict=True):
                found[number].append(values[len(values) - scored :])
        return [torch.cat(parts) for parts in found]

    def scores(self, rows: list[list[int]]) -> list[Tensor]:
        """log p(s_i | s_0 .. s_{i-1}) for i > 0, `[len - 1]` float64 each; what fills short rows is seen by none."""
        device, longest = self.network.device, max(map(len, rows)) - 1
        inputs = torch.tensor([s[:-1] + [0] * (longest + 1 - len(s)) for s in rows], device=device)
        seen = torch.tensor([[1] * (len(s) - 1) + [0] * (longest + 1 - len(s)) for s in rows], device=device)
        log_p = self.log_softmax(self.network(input_ids=inputs, attention_mask=seen).logits)
        targets = (torch.tensor(s[1:], device=device) for s in rows)
        return [of[: len(w)].gather(1, w[:, None])[:, 0] for of, w in zip(log_p, targets, strict=True)]

    def log_softmax(self, logits: Tensor) -> Tensor:
        return (logits.double() / self.temperature).log_softmax(-1)

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """log p of every text by itself, under its tokenisation: `[B, T]` -> `[B]` float64."""
        each = self.token_log_probs([self.tokens(text) for text in self.texts(x.cpu())])
        return torch.stack([one.sum() for one in each])

    @torch.no_grad()
    def log_prob_stream(self, x: Tensor) -> Tensor:
        """log p of one long text, each token's at the character in which it ends: `[T]` -> `[T]` float64.

        Raises:
            Unavailable: the tokenizer does not say where its tokens lie.
        """
        if not self.tokenizer.is_fast:
            raise Unavailable("no stream: the tokenizer does not say which characters a token is of")
        (text,) = self.texts(x[None].cpu())
        ids = self.tokens(text)
        spans = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        places = torch.tensor([max(0, end - 1) for _, end in spans], device=x.device)
        (log_p,) = self.token_log_probs([ids])
        return torch.zeros(len(x), dtype=torch.float64, device=x.device).index_add(0, places, log_p)

    def log_prob_details(self, x: np.ndarray, values: np.ndarray) -> dict[str, Any]:
        """What a record says of log-likelihoods of texts `[n, T]`: bits per byte of UTF-8, and how they were got."""
        n_bytes = sum(len(text.encode()) for text in self.texts(x))
        one = self.log_prob_kind == "exact"
        return {
            "bits_per_byte": float(-values.sum() / (n_bytes * math.log(2))),
            "bytes": n_bytes,
            "given": f"the start token {self.start} ({self.tokenizer.convert_ids_to_tokens(self.start)!r})",
            "tokenisation": "each text has one"
            if one
            else "the tokenizer's own: exact given it, a bound on all together",
            "context": self.context,
            "stride": self.stride,
        }

    # --- Samples

    @torch.no_grad()
    def sample(self, n: int, generator: Generator, cached: bool = True) -> Tensor:
        """n texts of T characters, `[n, T]` int64; special tokens are never drawn, since no text holds one.

        Arguments:
            cached: keep what the network knows of the past; else it reads its window anew for each token: the same.

        Raises:
            ModelError: a character that the data's alphabet lacks, or tokens that spell nothing.
        """
        T, places = self.space.dim, {c: i for i, c in enumerate(self.vocabulary)}
        s = torch.full((n, 1), self.start, device=generator.device)
        begin, memory, wait = 0, None, 1
        mute = self.mute(generator.device)
        for _ in range(MOST * T):
            if s.shape[1] - begin > self.context:
                begin, memory = begin + self.stride, None
            logits, memory = self.next_logits(s[:, begin:], memory if cached else None)
            p = self.log_softmax(logits).masked_fill(mute, -math.inf).softmax(-1)
            s = torch.cat([s, torch.multinomial(p, 1, generator=generator)], 1)
            wait -= 1
            if wait <= 0:
                texts = [self.spelt(row).rstrip("\ufffd") for row in s[:, 1:].tolist()]  # a character may be cut in two
                missing = T - min(map(len, texts))
                if missing <= 0:
                    break
                wait = missing // self.longest
        else:
            raise ModelError(f"sample: {MOST * T} tokens spell less than {T} characters")
        strange = {c for text in texts for c in text[:T]} - set(places)
        if strange:
            many = sum(not set(text[:T]) <= set(places) for text in texts)
            raise ModelError(
                f"sample: {many} of {n} texts hold characters that the data's alphabet of {len(places)} lacks, such as "
                f"{min(strange)!r}"
            )
        return torch.tensor([[places[c] for c in text[:T]] for text in texts], device=generator.device)

    @property
    def longest(self) -> int:
        """No token spells more characters."""
        if not hasattr(self, "_longest"):
            self._longest = max(map(len, self.tokenizer.get_vocab()), default=1)
        return self._longest

    def mute(self, device: Any) -> Tensor:
        """Which tokens no text holds: special ones, and numbers that the tokenizer does not know. `[V]`"""
        names = {number: name for name, number in self.tokenizer.get_vocab().items()}
        # One of them may be a character too, as a line break that stands before texts
        special = {i for i in self.tokenizer.all_special_ids if len(names.get(i, "")) != 1}
        V = int(self.network.config.vocab_size)
        return torch.tensor([i not in names or i in special for i in range(V)], device=device)

    def next_logits(self, window: Tensor, memory: Any) -> tuple[Tensor, Any]:
        """Logits of the token behind a window `[n, t]` -> `[n, V]`, and what the network keeps of it."""
        if self.cache is None:
            return self.network(input_ids=window, use_cache=False).logits[:, -1], None
        known = {} if memory is None else {self.cache: memory}
        out = self.network(input_ids=window if memory is None else window[:, -1:], use_cache=True, **known)
        return out.logits[:, -1], out[self.cache]


def one_way(tokenizer: Any, vocabulary: str) -> bool:
    """Whether no text can be cut in two ways: but for special ones, every token is a single character or byte."""
    special, added = set(tokenizer.all_special_ids), set(tokenizer.get_added_vocab().values())
    if added - special or any(len(name) != 1 for name, i in tokenizer.get_vocab().items() if i not in special):
        return False
    many = len(tokenizer(vocabulary, add_special_tokens=False)["input_ids"])  # more where one is put before the text
    return many in (len(vocabulary), len(vocabulary.encode()))


@torch.no_grad()
def sees_ahead(network: Any, n: int) -> bool:
    """Whether the last of n tokens changes the logits of those before it, which makes the likelihood none."""
    V = int(network.config.vocab_size)
    x = torch.arange(n, device=network.device)[None] % V
    y = x.clone()
    y[0, -1] = (y[0, -1] + V // 2) % V
    a, b = (network(input_ids=one).logits[0, : n - 1] for one in (x, y))
    return bool((a - b).abs().max() > 1e-4 * a.abs().max().clamp(min=1))
