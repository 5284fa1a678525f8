"""Speech as images: log-mel spectrograms of whole levels, and the audio that such an image stands for.

    power   P = |STFT x|^2,   a Hann window of `window` samples every `hop` samples, centred on multiples of the hop
    mel     M = W P,   triangles of height 1 that are equally spaced on the mel scale 2595 log10(1 + f / 700)
    level   of 10 log10 M between `low` and `high` dB, rounded, the highest band on top

Back to audio: levels -> M -> a P >= 0 with W P near M, by multiplicative updates that begin with a smooth one -> a
phase by Griffin and Lim's iteration, which in turn takes the STFT of a signal and puts the wanted magnitudes in place
of its own; here in its accelerated form, from phases that a seed fixes, so that equal images sound equal.

References:
    Signal estimation from modified short-time Fourier transform (Griffin and Lim, 1984), section III.
    A fast Griffin-Lim algorithm (Perraudin, Balazs and Sondergaard, 2013), algorithm 2.
    Algorithms for non-negative matrix factorization (Lee and Seung, 2001), theorem 1: the updates, with W given.
"""

from __future__ import annotations

import functools
import io
import wave
from dataclasses import dataclass

import numpy as np

from genbench.space import Space

LEVELS = 256
ITERATIONS, UPDATES = 60, 30
MOMENTUM = 0.99


@dataclass(frozen=True)
class LogMel:
    """A spectrogram of a fixed size.

    Arguments:
        rate: samples per second.
        window, hop: in samples.
        bands, frames: height and width of the image; it spans hop * frames samples of audio.
        low, high: dB of the lowest and of the highest level.
    """

    rate: int = 8000
    window: int = 256
    hop: int = 80
    bands: int = 40
    frames: int = 64
    low: float = -40.0
    high: float = 35.0

    @property
    def samples(self) -> int:
        return self.hop * self.frames

    @property
    def space(self) -> Space:
        return Space((1, self.bands, self.frames), LEVELS)

    @functools.cached_property
    def hann(self) -> np.ndarray:
        """The periodic window `[window]`."""
        return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window) / self.window)

    @functools.cached_property
    def filters(self) -> np.ndarray:
        """W `[bands, window / 2 + 1]`: triangle b rises from the centre of b - 1 to its own, and falls to the next."""
        top = 2595 * np.log10(1 + self.rate / 2 / 700)
        edges = 700 * (10 ** (np.linspace(0, top, self.bands + 2) / 2595) - 1)
        f = np.arange(self.window // 2 + 1) * self.rate / self.window
        left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
        return np.minimum((f - left) / (centre - left), (right - f) / (right - centre)).clip(0)

    def stft(self, audio: np.ndarray) -> np.ndarray:
        """Audio `[n, samples]` -> complex `[n, frames, window / 2 + 1]`; what lies beyond its ends is silence."""
        padded = np.pad(audio, ((0, 0), (self.window // 2, self.window // 2)))
        places = self.hop * np.arange(self.frames)[:, None] + np.arange(self.window)
        return np.fft.rfft(padded[:, places] * self.hann)

    def istft(self, spectrum: np.ndarray) -> np.ndarray:
        """The audio `[n, samples]` whose STFT is nearest to this one (Griffin and Lim, equation 6)."""
        pieces = np.fft.irfft(spectrum, self.window) * self.hann
        total = np.zeros((len(spectrum), self.samples + self.window))
        weight = np.zeros(self.samples + self.window)
        for i in range(self.frames):
            at = slice(i * self.hop, i * self.hop + self.window)
            total[:, at] += pieces[:, i]
            weight[at] += self.hann**2
        inside = slice(self.window // 2, self.window // 2 + self.samples)
        return total[:, inside] / np.maximum(weight[inside], 1e-8)

    def image(self, audio: np.ndarray) -> np.ndarray:
        """Audio `[n, samples]`, on about [-1, 1] -> levels, uint8 `[n, 1, bands, frames]`."""
        mel = np.abs(self.stft(audio)) ** 2 @ self.filters.T  # [n, frames, bands]
        share = (10 * np.log10(np.maximum(mel, 1e-30)) - self.low) / (self.high - self.low)
        levels = np.rint(share.clip(0, 1) * (LEVELS - 1)).astype(np.uint8)
        return levels.transpose(0, 2, 1)[:, None, ::-1].copy()

    def audio(self, images: np.ndarray, iterations: int = ITERATIONS) -> np.ndarray:
        """Levels `[n, 1, bands, frames]` -> audio `[n, samples]`; of an image it does not depend on its neighbours."""
        share = images[:, 0, ::-1].transpose(0, 2, 1) / (LEVELS - 1)  # [n, frames, bands]
        mel = 10 ** ((self.low + share * (self.high - self.low)) / 10) * (share > 0)  # the lowest level is silence
        magnitude = np.sqrt(self.power(mel))
        angle = 2 * np.pi * np.random.RandomState(0).random_sample(magnitude.shape[1:])
        spectrum, before = magnitude * np.exp(1j * angle), np.zeros_like(magnitude, complex)
        for _ in range(iterations):
            projected = self.stft(self.istft(spectrum))
            ahead = projected + MOMENTUM * (projected - before)
            spectrum, before = magnitude * np.exp(1j * np.angle(ahead)), projected
        return self.istft(spectrum)

    def power(self, mel: np.ndarray) -> np.ndarray:
        """P >= 0 `[n, frames, window / 2 + 1]` with W P near M, M `[n, frames, bands]`; 0 where no band reaches."""
        W = self.filters
        wanted, gram = mel @ W, W.T @ W
        P = mel / W.sum(1) @ W
        for _ in range(UPDATES):
            P *= wanted / np.maximum(P @ gram, 1e-30)
        return P


def read_wav(data: bytes) -> tuple[np.ndarray, int]:
    """A mono file of 16 bits: audio on [-1, 1) `[n]`, and its rate.

    Raises:
        ValueError: another kind of file.
    """
    try:
        with wave.open(io.BytesIO(data)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except Exception as error:  # on damaged files its reader raises several kinds
        raise ValueError(f"no WAV file ({error or type(error).__name__})") from error
    if (channels, width) != (1, 2):
        raise ValueError(f"{channels} channels of {8 * width} bits, not one of 16")
    return np.frombuffer(frames, "<i2") / 32768, rate


def write_wav(audio: np.ndarray, rate: int) -> bytes:
    """A mono file of 16 bits, its loudest sample at 0.9."""
    peak = max(float(np.abs(audio).max()), 1e-9)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((audio * (0.9 / peak) * 32767).round().astype("<i2").tobytes())
    return out.getvalue()
