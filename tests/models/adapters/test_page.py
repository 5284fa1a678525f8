"""The page about adapters: its script is run, and so is every command on it."""

import json
import re
import shlex
from pathlib import Path

from optional import library

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "adapters.md").read_text(encoding="utf-8")


def test_every_command_of_the_page_works_on_the_models_of_its_script(cli):
    for name in ("diffusers", "transformers", "onnx", "onnxruntime"):
        library(name)
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(script, "docs/adapters.md", "exec"), {})
    lines = [line.strip() for line in PAGE.splitlines() if line.startswith("    genbench evaluate")]
    lines = [line for line in lines if "FOLDER" not in line]
    assert len(lines) == 5
    for number, line in enumerate(lines):
        code, out, err = cli(*shlex.split(line)[1:], "-o", f"runs/{number}")
        assert code == 0, err
        assert re.search(r"[=≤~] ?\d", out)
    records = [json.loads(path.read_text()) for path in Path("runs").glob("*/cells/*.json")]
    adapters = {r["model"]["adapter"] for r in records if r["status"] == "ok"}
    assert adapters >= {"diffusers", "transformers", "onnx"}
