"""diffusers:FOLDER: a diffusion model, a flow or an autoencoder that the library diffusers saved.

FOLDER is a pipeline (`model_index.json`) of a UNet2DModel and its scheduler, such a UNet with `scheduler_config.json`
beside it, or an AutoencoderKL or a VQModel. What can be asked of each is in `_chain.py`. Arguments, all of which belong
to the model's identity:

    scheduler      ddpm, ddim, euler, ...: in place of the folder's own, with its betas
    steps          of a sample: all that the network was trained on with DDPM, else 50
    eta            the noise of DDIM's steps, 0 to 1 (0)
    guidance       scale of classifier-free guidance (1: none), which needs
    null_class     the label that stands for no class: the last one that the network knows
    last_variance  of the step to the integers, in place of the one in `_chain.py`
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from genbench.datasets import Dataset
from genbench.errors import GenbenchError, unknown
from genbench.models.adapters import Given, Source, _folder
from genbench.models.adapters._folder import json_of, must, number, weights_of, whole

VERSION = 1
WEIGHTS = "diffusion_pytorch_model"  # the stem of their files
SCHEDULERS = {
    "ddpm": "DDPMScheduler",
    "ddim": "DDIMScheduler",
    "pndm": "PNDMScheduler",
    "dpm-solver": "DPMSolverMultistepScheduler",
    "unipc": "UniPCMultistepScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler-ancestral": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "flow-euler": "FlowMatchEulerDiscreteScheduler",
}
FLOWS = ("FlowMatchEulerDiscreteScheduler",)
AUTOENCODERS = ("AutoencoderKL", "VQModel")
CHAIN = {"scheduler": "own", "steps": None, "eta": 0.0, "guidance": 1.0, "null_class": None, "last_variance": None}
MOST = 100_000  # steps of a chain
HANDED_OVER = "Sample with diffusers and hand over the images: samples:FOLDER."


@dataclass(frozen=True)
class Found:
    """What a folder holds: the network's class and folder, and the configuration of its scheduler."""

    network: str
    folder: Path
    scheduler: dict[str, Any] | None


def handles(what: str) -> bool:
    return what.startswith("diffusers:")


def identify(given: Given, dataset: Dataset) -> Source:
    """The model, known by its weights, its configurations, and the arguments.

    Raises:
        GenbenchError: no such folder, one that holds what this adapter does not know, or one made for other images.
    """
    _folder.installed("diffusers")
    root = _folder.folder_of(given.what)
    found = found_in(root)
    config = json_of(found.folder / "config.json")
    if "quantization_config" in config:
        raise GenbenchError(f"{found.folder} holds quantised weights", "Save the model in float32 or bfloat16.")
    files = weights_of(found.folder, WEIGHTS)
    check_space(config, found, dataset)
    if found.scheduler is None:
        _folder.known_arguments(given.args, {}, "an autoencoder")
        settings: dict[str, Any] = {}
    else:
        settings = settings_of(given.args, found.scheduler, config)
    return Source(
        name=given.name or root.resolve().name,
        adapter="diffusers",
        what=given.what,
        sha256=_folder.hash_of(root, [found.folder / "config.json", *files]),
        family="autoencoder" if found.scheduler is None else "diffusion",
        parameters=_folder.count(_folder.tensors_of(files)),
        args=settings,
        made_of={
            "version": VERSION,
            "library": _folder.release("diffusers"),
            "scheduler": sha256(json.dumps(found.scheduler, sort_keys=True).encode()).hexdigest(),
        },
        extra=found,
    )


def found_in(root: Path) -> Found:
    """The network in a folder, and its scheduler.

    Raises:
        GenbenchError: a pipeline of other parts, a network of another class, or a UNet without its scheduler.
    """
    parts: dict[str, list[Any]] = {}
    if (root / "model_index.json").is_file():
        index = json_of(root / "model_index.json")
        parts = {k: v for k, v in index.items() if not k.startswith("_") and isinstance(v, list) and any(x for x in v)}
        if set(parts) != {"unet", "scheduler"}:
            raise GenbenchError(
                f"{root} is a {index.get('_class_name', 'pipeline')} of {', '.join(parts) or 'nothing'}: a pipeline of "
                "unet and scheduler is known, and a VAE by itself, as FOLDER/vae",
                HANDED_OVER,
            )
    folder = root / "unet" if (root / "unet" / "config.json").is_file() else root
    config = json_of(folder / "config.json")
    network = config.get("_class_name")
    if any(library != "diffusers" for library, _ in (v for v in parts.values() if len(v) == 2)):
        raise GenbenchError(f"{root} names classes that diffusers does not have: no code is fetched", HANDED_OVER)
    if network in AUTOENCODERS and not parts:
        return Found(str(network), folder, None)
    if network != "UNet2DModel":
        raise GenbenchError(
            f"{folder} holds a {network}: known are UNet2DModel with its scheduler, {', '.join(AUTOENCODERS)}",
            HANDED_OVER,
        )
    places = [root / "scheduler" / "scheduler_config.json", root / "scheduler_config.json"]
    place = next((one for one in places if one.is_file()), None)
    if place is None:
        raise GenbenchError(
            f"{root} holds a UNet2DModel without a scheduler, which alone knows its noise",
            f"Put the scheduler's file beside it: scheduler.save_pretrained('{root}').",
        )
    scheduler = {key: value for key, value in json_of(place).items() if key != "_diffusers_version"}
    if scheduler.get("_class_name") not in SCHEDULERS.values():
        raise unknown("scheduler", str(scheduler.get("_class_name")), SCHEDULERS.values())
    return Found("UNet2DModel", folder, scheduler)


def check_space(config: dict[str, Any], found: Found, dataset: Dataset) -> None:
    """Whether the network takes the dataset's images.

    Raises:
        GenbenchError: it does not.
    """
    space = dataset.space
    if not space.is_image or space.levels is None:
        raise GenbenchError(
            f"models of diffusers see images of whole levels, dataset '{dataset.name}' is {space}",
            "Choose a dataset of images.",
        )
    size, channels = config.get("sample_size"), config.get("in_channels", 3)
    sides = tuple(size) if isinstance(size, list) else (size, size)
    fits = channels == space.shape[0] and (found.scheduler is None or size is None or sides == space.shape[1:])
    if not fits:
        made_for = f"{channels} x {sides[0]} x {sides[1]}" if found.scheduler else f"{channels} channels"
        raise GenbenchError(
            f"{found.folder} is made for images of {made_for}, dataset '{dataset.name}' is "
            f"{' x '.join(map(str, space.shape))}",
            "Choose the dataset that it was made for.",
        )


def settings_of(args: dict[str, Any], scheduler: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """The arguments, each as given or by its default, with the class of the scheduler that samples.

    Raises:
        GenbenchError: an unknown argument, or one that cannot be.
    """
    s = _folder.known_arguments(args, CHAIN, "diffusers:FOLDER")
    own = str(scheduler["_class_name"])
    if s["scheduler"] != "own" and s["scheduler"] not in SCHEDULERS:
        raise unknown("scheduler", str(s["scheduler"]), SCHEDULERS)
    named = own if s["scheduler"] == "own" else SCHEDULERS[s["scheduler"]]
    if (named in FLOWS) != (own in FLOWS):
        raise GenbenchError(f"{named} cannot stand for {own}: one is of flow matching", "Leave ?scheduler out.")
    total = scheduler.get("num_train_timesteps", 1000)
    must(whole(total) and 0 < total <= MOST, "num_train_timesteps of the scheduler", total, f"1 to {MOST:,} steps")
    steps = s["steps"] if s["steps"] is not None else total if named == "DDPMScheduler" else min(50, total)
    must(whole(steps) and 1 <= steps <= total, "steps", steps, f"a whole number from 1 to {total}")
    must(number(s["eta"]) and 0 <= s["eta"] <= 1, "eta", s["eta"], "a number from 0 to 1")
    if s["eta"] and named != "DDIMScheduler":
        raise GenbenchError(f"eta is the noise of DDIM, and {named} samples", "Leave it out, or add scheduler=ddim.")
    must(number(s["guidance"]), "guidance", s["guidance"], "a number, 1 for none")
    variance = s["last_variance"]
    must(variance is None or (number(variance) and variance > 0), "last_variance", variance, "a number above 0")
    check_scheduler(named, scheduler, config)
    s |= {"scheduler": named, "steps": steps, "eta": float(s["eta"]), "guidance": float(s["guidance"])}
    return {key: value for key, value in s.items() if value is not None} | classes_of(s, config)


def check_scheduler(named: str, scheduler: dict[str, Any], config: dict[str, Any]) -> None:
    """GenbenchError if the scheduler would draw nonsense from this network."""
    variance = scheduler.get("variance_type") or "fixed_small"
    twice = config.get("out_channels", 3) == 2 * config.get("in_channels", 3)
    takes = variance.startswith("learned") and named in ("DDPMScheduler", "DPMSolverMultistepScheduler")
    if named == "DDPMScheduler" and variance == "fixed_large_log":
        raise GenbenchError(
            "diffusers takes the root of a negative logarithm with variance_type=fixed_large_log: samples are NaN",
            "Write fixed_large into scheduler_config.json: it is what is meant.",
        )
    if takes and not twice:
        raise GenbenchError(
            f"variance_type={variance} needs a network that gives the variance too, and this one gives no more "
            "channels than it takes",
            "Correct variance_type in scheduler_config.json.",
        )
    if twice and named == "DDPMScheduler" and not takes:
        raise GenbenchError(
            f"the network gives a variance, which variance_type={variance} leaves unused",
            "Correct variance_type in scheduler_config.json: learned_range, if it was trained so.",
        )
    if named in FLOWS and (scheduler.get("use_dynamic_shifting") or scheduler.get("invert_sigmas")):
        raise GenbenchError(
            "dynamic shifting and inverted sigmas are settings of particular pipelines, which are not known here",
            HANDED_OVER,
        )


def classes_of(s: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """How many classes labels may name.

    Raises:
        GenbenchError: classes of a kind that is not known, or guidance without the null class.
    """
    known, null = config.get("num_class_embeds"), s["null_class"]
    if config.get("class_embed_type") is not None:
        raise GenbenchError(
            f"class_embed_type={config['class_embed_type']} says not how many classes there are", HANDED_OVER
        )
    if known is None:
        for key in ("null_class", "guidance"):
            if s[key] != CHAIN[key]:
                raise GenbenchError(f"{key} is given, and the network has no classes", f"Leave {key} out.")
        return {}
    must(null is None or null == known - 1, "null_class", null, f"{known - 1}, the last label, or leave it out")
    if s["guidance"] != 1 and null is None:
        raise GenbenchError(
            "guidance needs the label that stands for no class",
            f"If training dropped classes to the last of the {known}: null_class={known - 1}.",
        )
    return {"classes": known if null is None else known - 1}


def open(source: Source, dataset: Dataset, device: Any) -> Any:
    import torch

    from genbench.models.adapters import _chain

    found: Found = source.extra
    network = loaded(found, device)
    if found.scheduler is None:
        return _chain.Autoencoder(dataset.space, network)
    s = source.args
    own, named = found.scheduler["_class_name"], s["scheduler"]
    (kind,) = _folder.imported("diffusers", [named])
    # Another scheduler takes what the folder's own says of noise and prediction
    config = {k: v for k, v in found.scheduler.items() if own == named or k != "_class_name"}
    try:
        with _folder.quiet("diffusers"):
            scheduler = kind.from_config(config)
    except Exception as error:  # of values that no scheduler can have
        raise GenbenchError(f"{named} cannot be built of scheduler_config.json: {error}", _folder.DAMAGED) from error
    betas, total = len(getattr(scheduler, "betas", scheduler.timesteps)), int(scheduler.config.num_train_timesteps)
    if betas != total:
        raise GenbenchError(
            f"scheduler_config.json has {betas} betas for {total} steps", "Correct num_train_timesteps."
        )

    def predict(x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        return network(x, t, class_labels=labels, return_dict=False)[0]

    shared = {
        "steps": s["steps"], "eta": s["eta"], "guidance": s["guidance"], "dtype": network.dtype,
        "n_classes": s.get("classes", 0), "null_class": s.get("null_class"),
    }  # fmt: skip
    if named in FLOWS:
        return _chain.FlowMatching(dataset.space, predict, scheduler, **shared)
    continuous = network.config.time_embedding_type != "learned"
    return _chain.Diffusion(
        dataset.space, predict, scheduler, last_variance=s.get("last_variance"), continuous=continuous, **shared
    )


def loaded(found: Found, device: Any) -> Any:
    """The network with its weights in float32, ready to be measured.

    Raises:
        GenbenchError: weights that are missing, left over or of another shape, or a network that cannot be built.
    """
    import torch

    from genbench.models.building import TooLarge, counted, of_file

    tensors = _folder.tensors_of(weights_of(found.folder, WEIGHTS))
    (kind,) = _folder.imported("diffusers", [found.network])
    try:
        with _folder.quiet("diffusers"), counted(of_file(_folder.count(tensors), len(tensors))):
            network, info = kind.from_pretrained(
                found.folder, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False,
                torch_dtype=torch.float32, output_loading_info=True,
            )  # fmt: skip
    except TooLarge as error:
        raise GenbenchError(
            f"{found.folder}: the network of its config.json is larger than its weights", _folder.DAMAGED
        ) from error
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise GenbenchError(f"{found.folder} cannot be built: {error}", _folder.DAMAGED) from error
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if wrong := list(info[what]):
            raise GenbenchError(
                f"{found.folder}: {len(wrong)} {what.replace('_', ' ').replace('keys', 'weights')}, first {wrong[0]}",
                _folder.DAMAGED,
            )
    return network.to(device).eval().requires_grad_(False)
