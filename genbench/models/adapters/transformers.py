"""transformers:FOLDER: a causal language model with its tokenizer, as the library transformers saved them.

For datasets of text. What it computes is in `_text.py`. Arguments, all of which belong to the model's identity:

    start        the token that stands before every text: its number or its name (the model's own start or end token)
    context      tokens that it reads at most (all that it can, up to 1,024)
    stride       tokens by which its window moves along a longer text (a quarter of the context)
    temperature  by which its logits are divided, for the likelihood as for samples (1)
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from genbench.datasets import Dataset
from genbench.errors import GenbenchError
from genbench.models.adapters import Given, Source, _folder
from genbench.models.adapters._folder import json_of, must, number, weights_of, whole

VERSION = 1
SETTINGS = {"start": None, "context": None, "stride": None, "temperature": 1.0}
DECIDE = (".json", ".txt", ".model", ".tiktoken", ".jinja")  # besides weights, what a tokenizer is made of
UNLIMITED = 10**9  # tokenizers without a limit say 10^30
USUAL = 1024  # tokens, unless more are asked for: attention needs memory for their square


def handles(what: str) -> bool:
    return what.startswith("transformers:")


def identify(given: Given, dataset: Dataset) -> Source:
    """The model, known by its weights, its configuration, its tokenizer, the alphabet of the data, and the arguments.

    Raises:
        GenbenchError: no such folder, no weights that are safe to read, a part that is not known, or data that are no
            text.
    """
    _folder.installed("transformers")
    if dataset.vocabulary is None or len(dataset.space.shape) != 1:
        raise GenbenchError(
            f"{given.what} is a model of text, dataset '{dataset.name}' is none",
            "Choose one of text: --dataset tinyshakespeare, or a file of your own, --dataset FILE.txt.",
        )
    folder = _folder.folder_of(given.what)
    config = json_of(folder / "config.json")
    check_config(folder, config)
    files = weights_of(folder, "model")
    settings = _folder.known_arguments(given.args, SETTINGS, "transformers:FOLDER")
    temperature = settings["temperature"]
    must(number(temperature) and temperature > 0, "temperature", temperature, "a number above 0")
    for key in ("context", "stride"):
        must(
            settings[key] is None or (whole(settings[key]) and settings[key] > 0), key, settings[key], "a whole number"
        )
    start = settings["start"]
    must(start is None or isinstance(start, str) or whole(start), "start", start, "a token's number or name")
    others = [file for file in folder.iterdir() if file.is_file() and file.suffix in DECIDE]
    return Source(
        name=given.name or folder.resolve().name,
        adapter="transformers",
        what=given.what,
        sha256=_folder.hash_of(folder, {*files, *others}),
        family="autoregressive",
        parameters=_folder.count(_folder.tensors_of(files)),
        args={key: value for key, value in settings.items() if value is not None},
        made_of={
            "version": VERSION,
            "library": _folder.release("transformers"),
            "alphabet": hashlib.sha256(dataset.vocabulary.encode()).hexdigest(),
        },
        extra=config,
    )


def check_config(folder: Path, config: dict[str, Any]) -> None:
    """GenbenchError if the folder asks for more than a class of the library and its weights."""
    if (folder / "adapter_config.json").is_file():
        raise GenbenchError(
            f"{folder} holds an adapter, whose base model lies elsewhere", "Merge it: merge_and_unload()."
        )
    if "quantization_config" in config:
        raise GenbenchError(f"{folder} holds quantised weights", "Save the model in float32 or bfloat16.")
    if "auto_map" in config:
        raise GenbenchError(
            f"{folder} names code of its own (auto_map in config.json), which is not run",
            "Wrap the model where you trust it: FILE.py:OBJECT (docs/own.md).",
        )


def open(source: Source, dataset: Dataset, device: Any) -> Any:
    from genbench.models.adapters import _text

    assert dataset.vocabulary is not None
    folder, settings = _folder.folder_of(source.what), source.args
    network = loaded(folder, source.extra).to(device).eval().requires_grad_(False)
    tokenizer = tokenizer_of(folder)
    known = int(network.config.vocab_size)
    if (most := max(tokenizer.get_vocab().values())) >= known:
        raise GenbenchError(f"{folder}: the tokenizer has a token {most}, the model knows {known}", _folder.DAMAGED)
    limit = getattr(network.config, "max_position_embeddings", None)
    if limit is None and tokenizer.model_max_length < UNLIMITED:
        limit = int(tokenizer.model_max_length)
    context = settings.get("context", min(limit or USUAL, USUAL))
    if limit is not None and context > limit:
        raise GenbenchError(f"context is {context}, the model reads {limit} tokens", "Give fewer.")
    stride = settings.get("stride", max(1, context // 4))
    must(stride <= context, "stride", stride, f"at most the context, {context}")
    if context > 1 and _text.sees_ahead(network, min(context, 6)):
        raise GenbenchError(
            f"{folder}: what stands behind a token changes its probability, so it is no causal model",
            "Of a decoder made from an encoder, set is_decoder in config.json, if it was trained so.",
        )
    return _text.Text(
        dataset.space, dataset.vocabulary, network, tokenizer, start=start_of(folder, settings, network, tokenizer),
        context=context, stride=stride, temperature=float(settings["temperature"]),
    )  # fmt: skip


def start_of(folder: Path, settings: dict[str, Any], network: Any, tokenizer: Any) -> int:
    """The token before every text: as asked for, else the start token of the model or tokenizer, else the end token.

    Raises:
        GenbenchError: there is none.
    """
    asked = settings.get("start")
    if isinstance(asked, str):
        asked = tokenizer.get_vocab().get(asked)
        must(asked is not None, "start", settings["start"], "a token of the tokenizer, or its number")
    own = [getattr(of, name, None) for name in ("bos_token_id", "eos_token_id") for of in (tokenizer, network.config)]
    for token in [asked, *own]:
        if isinstance(token, int):
            must(0 <= token < network.config.vocab_size, "start", token, "the number of a token")
            return token
    raise GenbenchError(
        f"{folder} has no start token, so that nothing gives the first token of a text a probability",
        "Name one that stood before texts in training: ?start=TOKEN.",
    )


def loaded(folder: Path, config: dict[str, Any]) -> Any:
    """The model of an installed class with its weights in float32; nothing is looked for in the folder but those.

    Raises:
        GenbenchError: a kind that the library does not have, or weights that are missing, left over or misshapen.
    """
    import torch
    from safetensors.torch import load_file

    from genbench.models.building import TooLarge, counted, of_file

    configs, models = _folder.imported("transformers", ["CONFIG_MAPPING", "MODEL_FOR_CAUSAL_LM_MAPPING"])
    kind = config.get("model_type")
    if kind not in configs or configs[kind] not in models:
        raise GenbenchError(
            f"{folder} holds a model of type '{kind}', which is no causal language model of this transformers",
            "Update transformers, or wrap the model: FILE.py:OBJECT (docs/own.md).",
        )
    found = models[configs[kind]]
    model_class = found[0] if isinstance(found, tuple) else found
    named = config.get("architectures") or [model_class.__name__]
    if model_class.__name__ not in named:
        raise GenbenchError(f"{folder} holds a {named[0]}, no causal language model", "Save it with its language head.")
    tensors = _folder.tensors_of(weights_of(folder, "model"))
    state = {name: value for file in weights_of(folder, "model") for name, value in load_file(file).items()}
    try:
        with _folder.quiet("transformers"), counted(of_file(_folder.count(tensors), len(tensors))):
            # Named eager: a configuration may name kernels, which are code and would be fetched.
            network, info = model_class.from_pretrained(
                None, config=configs[kind].from_dict(config), state_dict=state, dtype=torch.float32,
                attn_implementation="eager", output_loading_info=True, ignore_mismatched_sizes=True,
            )  # fmt: skip
    except TooLarge as error:
        raise GenbenchError(
            f"{folder}: the model of its config.json is larger than its weights", _folder.DAMAGED
        ) from error
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError) as error:
        raise GenbenchError(f"{folder} cannot be built: {error}", _folder.DAMAGED) from error
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if wrong := sorted(map(str, info.get(what) or ())):
            raise GenbenchError(
                f"{folder}: {len(wrong)} {what.replace('_', ' ').replace('keys', 'weights')}, first {wrong[0]}",
                _folder.DAMAGED,
            )
    return network


def tokenizer_of(folder: Path) -> Any:
    (auto,) = _folder.imported("transformers", ["AutoTokenizer"])
    try:
        return auto.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # of a folder without one, of packages that are missing, of its own
        raise GenbenchError(
            f"{folder} has no tokenizer that can be read: {error}", "Save it there: tokenizer.save_pretrained(FOLDER)."
        ) from error
