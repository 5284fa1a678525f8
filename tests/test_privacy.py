"""What is published names no folder of the machine that it was made on, and not the machine."""

import json
import os
import platform
import re
import textwrap

import pytest

from genbench.models.checkpoint import read_card
from genbench.privacy import public, public_command, public_value, published


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cannot read /home/ada/models/vae.pt: no", "cannot read vae.pt: no"),
        ("'/home/ada/my models/vae 2.pt' is gone", "'vae 2.pt' is gone"),
        ("~/models/vae.pt and file:///srv/data/x.npy", "vae.pt and x.npy"),
        ("/srv/a/models.py:Model (/srv/b)", "models.py:Model (b)"),
        ("PATH=/usr/bin:/home/ada/bin", "PATH=bin:bin"),
        ("see https://example.org/a/b?c=/d", "see https://example.org/a/b?c=/d"),
        ("bits/dim, n/a, 5/6/7, p(x)/q(z), a / b", "bits/dim, n/a, 5/6/7, p(x)/q(z), a / b"),
        (r"cannot open /home/ada/my\ work/vae.pt", "cannot open vae.pt"),
        (r"C:\Users\ada\vae.pt, 'd:\x' and \\server\ada\y.pt; \alpha", r"vae.pt, 'x' and y.pt; \alpha"),
        ("Ω /données/modèles/été.pt", "Ω été.pt"),
    ],
)
def test_a_text_keeps_the_last_part_of_every_path_and_nothing_else_changes(text, said):
    assert public(text) == said


def test_home_here_and_the_host(monkeypatch, tmp_path):
    here, home = tmp_path / "my work", tmp_path / "ada lovelace"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(platform, "node", lambda: "enigma7")
    assert public(f"{here}/runs/x.json") == "runs/x.json"
    assert public(f"{home}/notes/vae.pt, {home}") == "vae.pt, ~"
    assert public("on enigma7.lab.example:8080, enigma70") == "on this machine:8080, enigma70"
    monkeypatch.setattr(platform, "node", lambda: "vm")
    assert public("by ada@vm, on vm; a@vmx") == "by this machine, on vm; a@vmx"
    line = ["genbench", "evaluate", f"mine={home}/a b/v.safetensors?x={home}/c", f"samples:{home}/s", "-o", f"{here}/r"]
    assert public_command(line) == "genbench evaluate 'mine=v.safetensors?x=c' samples:s -o r"


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("nll,kd[/home/ada/my work/ext.py:embed],fd[/srv/x.onnx]", "nll,kd[ext.py:embed],fd[x.onnx]"),
        ("samples:file:///home/ada/a b/x.npy", "samples:file:x.npy"),
        ("x=//home/ada/x.npy", "x=x.npy"),
        ("/home/ada/runs [1]/x.npy", "x.npy"),
        ("runs/a[1].npy", "runs/a[1].npy"),
        ("https://example.org/a/b?x=/home/ada/c", "https://example.org/a/b?x=c"),
        ("profile:/home/ada/p", "profile:p"),
    ],
)
def test_of_an_argument_every_path_is_cut_wherever_it_begins(argument, said):
    assert public_command([argument]).strip("'") == said


def test_a_text_of_any_length_is_cut_after_its_paths_are():
    """However a path falls on the place of the cut, nothing of its folders is left; 50 MB take no longer than 1 MB."""
    for before in range(40):
        said = published(f"{'x' * (1000 - before)} /home/ada/secret/vae.pt {'y' * 2000}", 2000)
        assert len(said) < 2050
        assert not re.search("home|ada|secret|/", said)
    assert len(published("/home/ada/x " * 4_000_000, 2000)) < 2050


def test_every_text_of_a_plain_value_is_cleaned():
    value = {"/home/ada/a b": ["/home/ada/my work/c", {"x": ("~/d", 1.5, None, True)}], "y": "a=/home/ada/e f?g=/h/i"}
    assert public_value(value) == {"a b": ["c", {"x": ("d", 1.5, None, True)}], "y": "a=e f?g=i"}


def test_no_file_of_a_run_a_board_or_a_checkpoint_tells_where_it_was_made(cli, tmp_path, monkeypatch):
    """A model that says where it lies in a warning, an error and a death, measured by paths from the root."""
    secret = tmp_path / "home" / "ada lovelace" / "secret"
    secret.mkdir(parents=True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(secret.parent))
    (secret / "weights.txt").write_text("1")
    (secret / "models.py").write_text(
        textwrap.dedent(
            """
            import ctypes, os, platform, warnings, torch
            from genbench.space import Space

            class Model(torch.nn.Module):
                version = 1
                space = Space((1, 8, 8), 17)
                def __init__(self, how="well", weights="", log=""):
                    super().__init__()
                    self.how = how
                def sample(self, n, generator):
                    warnings.warn(f"reading {__file__} on {platform.node()}")
                    if self.how == "error":
                        open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "nothing"))
                    if self.how == "death":
                        ctypes.string_at(0)
                    return torch.zeros(n, 1, 8, 8, dtype=torch.int64)
            """
        )
    )
    specs = [
        f"{how}={secret}/models.py:Model?how={how}&weights={secret}/weights.txt&log={secret}/gone.log"
        for how in ("well", "error", "death")
    ]
    code, out, _ = cli(
        "evaluate", *specs, "--metrics", "copies,fd", "--samples", "20", "-o", tmp_path / "elsewhere" / "run"
    )
    assert code == 1
    assert cli("publish", tmp_path / "elsewhere" / "run", "-o", tmp_path / "boards" / "page")[0] == 0
    trained = tmp_path / "elsewhere" / "p.safetensors"
    assert cli("train", "independent-pixels", "-o", trained)[0] == 0
    statuses = {json.loads(p.read_text())["status"] for p in (tmp_path / "elsewhere" / "run" / "cells").iterdir()}
    assert statuses == {"ok", "error", "crashed"}
    assert "p.safetensors" in read_card(trained).training["command"]
    words = [str(secret), "ada lovelace", str(tmp_path), str(tmp_path.parent), os.getcwd()]
    words += [platform.node()] if len(platform.node()) > 3 else []
    paths = [*(tmp_path / "elsewhere").rglob("*"), *(tmp_path / "boards").rglob("*")]
    texts = {path: path.read_bytes() for path in paths if path.is_file()}
    assert len(texts) > 10
    for path, data in texts.items():
        for word in words:
            assert word.encode() not in data, (path, word)
    for word in words:
        assert word not in out
