"""Spectrograms against SciPy's, the inverse as a projection, Griffin-Lim on what is known, and WAV files."""

import io
import wave

import numpy as np
import pytest
from scipy import signal

from genbench.numerics.speech import LogMel, read_wav, write_wav

SOUND = LogMel()


def noise(n: int = 3, seed: int = 0) -> np.ndarray:
    return 0.3 * np.random.default_rng(seed).standard_normal((n, SOUND.samples))


def voiced(n: int = 4) -> np.ndarray:
    """Harmonics of a rising pitch under a slowly changing spectrum: more like speech than noise is."""
    t = np.arange(SOUND.samples) / SOUND.rate
    x = []
    for i in range(n):
        phase = 2 * np.pi * np.cumsum(100 + 20 * i + 60 * t) / SOUND.rate
        x.append(sum(np.sin(k * phase) * np.exp(-((k * 130 - 600 - 900 * t) ** 2) / 4e5) for k in range(1, 20)))
    return np.stack(x) / 5


def test_the_stft_is_scipys():
    x = noise(1)[0]
    window = signal.windows.hann(SOUND.window, sym=False)
    np.testing.assert_allclose(SOUND.hann, window, atol=1e-12)
    peer = signal.ShortTimeFFT(window, SOUND.hop, SOUND.rate, phase_shift=None)
    first = -peer.p_min  # its slice p is centred on p * hop, from p_min < 0 on
    expected = peer.stft(x)[:, first : first + SOUND.frames].T
    np.testing.assert_allclose(np.abs(SOUND.stft(x[None])[0]), np.abs(expected), atol=1e-9)


def test_the_inverse_gives_back_what_the_windows_see():
    x = noise()
    np.testing.assert_allclose(SOUND.istft(SOUND.stft(x)), x, atol=1e-10)


def test_the_inverse_is_the_signal_of_least_squares():
    """The error of the best signal is orthogonal to the spectrum of every signal."""
    rng = np.random.default_rng(1)
    shape = (1, SOUND.frames, SOUND.window // 2 + 1)
    wanted = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    wanted[..., [0, -1]] = wanted[..., [0, -1]].real
    off = np.fft.irfft(wanted - SOUND.stft(SOUND.istft(wanted)), SOUND.window)
    other = np.fft.irfft(SOUND.stft(noise(1, seed=2)), SOUND.window)
    inner = (off * other).sum() / np.sqrt((off**2).sum() * (other**2).sum())
    assert abs(inner) < 1e-12


def test_the_filters_are_triangles_that_overlap_by_half():
    W = SOUND.filters
    f = np.arange(SOUND.window // 2 + 1) * SOUND.rate / SOUND.window
    mel = 2595 * np.log10(1 + f / 700)
    centres = np.linspace(0, 2595 * np.log10(1 + SOUND.rate / 2 / 700), SOUND.bands + 2)
    inside = (mel >= centres[1]) & (mel <= centres[-2])
    np.testing.assert_allclose(W.sum(0)[inside], 1, atol=1e-12)  # a falling and a rising side
    assert (W.sum(1) > 0).all(), "a band that no frequency reaches"
    for b in range(SOUND.bands):
        assert (W[b, (mel <= centres[b]) | (mel >= centres[b + 2])] == 0).all()


def test_a_tone_stands_in_its_band_and_a_louder_one_higher_by_its_decibels():
    t = np.arange(SOUND.samples) / SOUND.rate
    for b in (10, 25, 35):
        edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 4000 / 700), SOUND.bands + 2) / 2595) - 1)
        tone = 0.1 * np.sin(2 * np.pi * edges[b + 1] * t)[None]
        quiet, loud = (SOUND.image(gain * tone)[0, 0, ::-1].astype(float) for gain in (1, 2))
        middle = slice(10, -10)
        assert (quiet[:, middle].argmax(0) == b).all()
        step = (SOUND.high - SOUND.low) / 255
        np.testing.assert_allclose((loud - quiet)[b, middle] * step, 20 * np.log10(2), atol=step)


def test_silence_is_the_lowest_level_and_comes_back_as_silence():
    image = SOUND.image(np.zeros((1, SOUND.samples)))
    assert (image == 0).all()
    assert np.abs(SOUND.audio(image)).max() < 1e-9


def test_the_power_explains_the_bands_and_is_nowhere_negative():
    mel = np.abs(SOUND.stft(voiced())) ** 2 @ SOUND.filters.T
    P = SOUND.power(mel)
    assert (P >= 0).all()
    assert np.abs(P @ SOUND.filters.T - mel).sum() < 0.03 * mel.sum()


def test_audio_has_the_spectrogram_that_it_was_made_from_and_the_more_so_the_longer_it_is_sought():
    wanted = SOUND.image(voiced())

    def off(iterations: int) -> float:
        found = SOUND.image(SOUND.audio(wanted, iterations)).astype(float)
        return float(np.abs(found - wanted)[wanted > 100].mean())

    none, few, usual = off(0), off(5), off(60)
    assert none > few > usual
    assert usual * (SOUND.high - SOUND.low) / 255 < 1.5  # dB, on average where there is sound


def test_audio_of_an_image_does_not_depend_on_its_neighbours():
    images = SOUND.image(voiced())
    alone = np.concatenate([SOUND.audio(image[None]) for image in images])
    np.testing.assert_allclose(SOUND.audio(images), alone, atol=1e-6)


def test_images_are_in_the_space():
    image = SOUND.image(noise())
    assert SOUND.space.checked(image, "image").shape == (3, 1, 40, 64)


def test_wav_files_come_back_and_others_are_refused():
    x = np.sin(np.arange(800) / 5)
    audio, rate = read_wav(write_wav(x, 8000))
    assert rate == 8000
    np.testing.assert_allclose(audio, 0.9 * x / np.abs(x).max() * 32767 / 32768, atol=1 / 32768)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(bytes(8))
    with pytest.raises(ValueError, match="2 channels of 8 bits"):
        read_wav(out.getvalue())
    with pytest.raises(ValueError, match="no WAV file"):
        read_wav(b"RIFF????")
