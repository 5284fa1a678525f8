"""Language models of transformers: against the library's own loss, against enumeration, against the definition."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from optional import library
from scipy import stats

from genbench import datasets
from genbench.datasets import Dataset
from genbench.errors import GenbenchError, ModelError, Unavailable
from genbench.likelihood import log_likelihood
from genbench.models.adapters import parse
from genbench.models.sampling import seeded
from genbench.space import Space

transformers = library("transformers")
tokenizers = library("tokenizers")

TEXT = "the cat sat on the mat. the hat that the cat sat on sat on the mat. né "


def data(text=TEXT, T=12):
    """A dataset of the characters of a text, in windows."""
    vocabulary = "".join(sorted(set(text)))
    x = np.array([vocabulary.index(c) for c in text])[: len(text) // T * T].reshape(-1, T).astype(np.uint8)
    return Dataset(
        "text", Space((T,), len(vocabulary)), x, x, x, "CC0", "test", vocabulary=vocabulary, value="char", sequence=True
    )


def of_bytes(**special):
    """Exactly 256 tokens, the bytes."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    own = tokenizers.Tokenizer(tokenizers.models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    own.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    own.decoder = tokenizers.decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=own, **special)


def of_pieces(n=300):
    """Bytes, pieces of several letters that occur in TEXT, and a start token."""
    own = tokenizers.ByteLevelBPETokenizer()
    own.train_from_iterator([TEXT] * 3, n, 2, show_progress=False, special_tokens=["<s>"])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=own._tokenizer, bos_token="<s>")


def of_letters(letters):
    own = tokenizers.Tokenizer(tokenizers.models.BPE({c: i for i, c in enumerate(letters)}, []))
    own.decoder = tokenizers.decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=own)


def gpt(tokenizer, start=None, positions=64, scale=1.0, **more):
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_positions=positions, n_embd=16, n_layer=2, n_head=2,
        bos_token_id=start, eos_token_id=None, **more,
    )  # fmt: skip
    net = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(scale)
    return net


@pytest.fixture
def saved(tmp_path):
    def save(net, tokenizer, name="model"):
        net.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        return tmp_path / name

    return save


def opened(folder, query="", of=None):
    of = of or data()
    return parse(f"transformers:{folder}{query}", of).open(of, "cpu")


# --- Likelihood


def test_a_uniform_model_of_bytes_has_exactly_eight_bits_per_byte(saved):
    """Also of text whose characters are more than a byte; the record says what the first token stands behind."""
    model = opened(saved(gpt(of_bytes(), scale=0.0), of_bytes()), "?start=0")
    found = log_likelihood(model, data().test, 1, 0, 10)
    assert found.kind == "exact"
    assert found.details["bits_per_byte"] == pytest.approx(8, abs=1e-12)
    assert found.details["bytes"] == len(TEXT[: len(data().test) * 12].encode())
    assert found.details["given"].startswith("the start token 0 ")
    text = "".join(model.texts(data().test))
    assert -found.values.sum() == pytest.approx(len(text.encode()) * math.log(256), rel=1e-12)


@pytest.mark.parametrize("family", ["gpt2", "llama", "mamba"])
def test_the_log_likelihood_is_the_library_s_own_loss_times_the_tokens(saved, family):
    tokenizer = of_pieces()
    small = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 2, "bos_token_id": 0}
    torch.manual_seed(0)
    net = {
        "gpt2": lambda: gpt(tokenizer, 0, scale=2.0),
        "llama": lambda: transformers.LlamaForCausalLM(
            transformers.LlamaConfig(intermediate_size=32, num_attention_heads=2, **small)
        ),
        "mamba": lambda: transformers.MambaForCausalLM(transformers.MambaConfig(state_size=4, **small)),
    }[family]().eval()
    model = opened(saved(net, tokenizer), f"?start={tokenizer.bos_token_id}")
    assert model.log_prob_kind == "lower_bound"
    x = torch.from_numpy(data().test).long()
    found = model.log_prob(x)
    for text, value in zip(model.texts(x), found, strict=True):
        ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
        with torch.no_grad():
            loss = net.double()(ids, labels=ids).loss
        assert float(value) == pytest.approx(-float(loss) * (ids.shape[1] - 1), rel=1e-6)


def test_the_sum_over_all_tokenisations_is_above_what_is_scored(saved):
    tokenizer = of_pieces()
    model = opened(saved(gpt(tokenizer), tokenizer))
    text = "the cat sat "
    assert model.texts(data().test)[0] == text
    vocabulary = {name: i for name, i in tokenizer.get_vocab().items() if name != "<s>"}

    def ways(rest):
        if not rest:
            yield []
        for end in range(1, len(rest) + 1):
            if rest[:end] in vocabulary:
                yield from ([vocabulary[rest[:end]], *more] for more in ways(rest[end:]))

    every = list(ways(text.replace(" ", "Ġ")))
    own = model.tokens(text)
    assert own in every
    assert len(every) > 20
    each = torch.stack([values.sum() for values in model.token_log_probs(every)])
    found = float(model.log_prob(torch.from_numpy(data().test[:1]).long()))
    assert found == pytest.approx(float(each[every.index(own)]), rel=1e-6)
    assert found < float(each.logsumexp(0))


def test_probabilities_of_all_texts_of_letters_sum_to_one(saved):
    tokenizer = of_letters("abc")
    small = data("abcabcabc", T=3)
    model = opened(saved(gpt(tokenizer, scale=4.0), tokenizer), "?start=a", small)
    assert model.log_prob_kind == "exact"
    every = torch.tensor(list(itertools.product(range(3), repeat=3)))
    p = model.log_prob(every).exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-6)
    drawn = model.sample(3000, seeded(0))
    counts = torch.bincount((drawn * torch.tensor([9, 3, 1])).sum(1), minlength=27)
    assert stats.chisquare(counts, (p * 3000 / p.sum()).numpy()).pvalue > 1e-3  # what is scored is what is drawn
    assert p.max() / p.min() > 3  # else a uniform sampler would do


@pytest.mark.parametrize(
    ("query", "context", "stride"), [("", 64, 16), ("&context=8", 8, 2), ("&context=6&stride=6", 6, 6)]
)
def test_a_long_text_is_scored_once_each_token_in_the_first_window_that_reaches_it(saved, query, context, stride):
    tokenizer = of_pieces()
    net = gpt(tokenizer, scale=2.0)
    model = opened(saved(net, tokenizer), f"?start=0{query}")
    x = torch.tensor([model.vocabulary.index(c) for c in TEXT * 4])
    found = model.log_prob_stream(x)
    ids = tokenizer(TEXT * 4, add_special_tokens=False)["input_ids"]
    s = [0, *ids]
    expected = []
    for i in range(1, len(s)):
        begin = 0 if i <= context else -(-(i - context) // stride) * stride
        with torch.no_grad():
            logits = net(torch.tensor([s[begin:i]])).logits[0, -1].double()
        expected.append(float(logits.log_softmax(0)[s[i]]))
    assert len(ids) > context
    assert found.shape == x.shape
    assert float(found.sum()) == pytest.approx(sum(expected), rel=1e-6)
    ends = [
        end - 1
        for _, end in tokenizer(TEXT * 4, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    ]
    by_place = torch.zeros(len(x), dtype=torch.float64).index_add(
        0, torch.tensor(ends), torch.tensor(expected).double()
    )
    torch.testing.assert_close(found, by_place, rtol=1e-5, atol=1e-6)
    one = torch.from_numpy(data(TEXT * 4, T=len(TEXT) * 4).test).long()
    assert float(model.log_prob(one)) == pytest.approx(sum(expected), rel=1e-6)


def test_temperature_divides_the_logits_of_likelihood_and_samples_alike(saved):
    tokenizer = of_letters("abc")
    small = data("abcabcabc", T=3)
    folder = saved(gpt(tokenizer, scale=4.0), tokenizer)
    cold = opened(folder, "?start=a&temperature=0.5", small)
    every = torch.tensor(list(itertools.product(range(3), repeat=3)))
    p = cold.log_prob(every).exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-6)
    counts = torch.bincount((cold.sample(3000, seeded(0)) * torch.tensor([9, 3, 1])).sum(1), minlength=27)
    assert stats.chisquare(counts, (p * 3000).numpy()).pvalue > 1e-3
    with torch.no_grad():
        logits = cold.network(torch.tensor([[0]])).logits[0, 0].double()
    first = p.view(3, 9).sum(1)
    torch.testing.assert_close(first, (2 * logits).softmax(0), rtol=1e-5, atol=0)


# --- Samples


@pytest.mark.parametrize("query", ["", "&context=7&stride=3"])
def test_samples_with_a_memory_are_those_without(saved, query):
    tokenizer = of_letters(sorted(set(TEXT)))
    model = opened(saved(gpt(tokenizer, scale=3.0), tokenizer), f"?start=a{query}")
    a, b = (model.sample(20, seeded(1), cached=cached) for cached in (True, False))
    assert torch.equal(a, b)
    assert a.shape == (20, 12)
    assert len(a.unique()) > 5


def test_special_tokens_and_tokens_without_text_are_not_drawn(saved):
    tokenizer = of_pieces()
    net = gpt(tokenizer, 0)
    net.resize_token_embeddings(len(tokenizer) + 7)
    folder = saved(net, tokenizer)
    model = opened(folder)
    mute = model.mute("cpu")
    assert mute.nonzero().flatten().tolist() == [0, *range(len(tokenizer), len(tokenizer) + 7)]


def test_characters_that_the_data_do_not_know_are_an_error_of_the_model(saved):
    model = opened(saved(gpt(of_bytes()), of_bytes()), "?start=0")
    with pytest.raises(ModelError, match="alphabet of"):
        model.sample(4, seeded(0))


# --- What is refused, and what decides


def change(folder, file="config.json", **values):
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def as_pickle(folder):
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


def as_distributed(folder):
    (folder / "model.safetensors").unlink()
    (folder / ".metadata").write_bytes(b"\x80\x04.")
    (folder / "__0_0.distcp").write_bytes(b"\x80\x04.")


BROKEN = {
    "a pickle": (as_pickle, "can run code"),
    "a distributed checkpoint": (as_distributed, "can run code"),
    "code of its own": (lambda f: change(f, auto_map={"AutoModelForCausalLM": "evil.Model"}), "which is not run"),
    "an unknown kind": (lambda f: change(f, model_type="evil"), "of type 'evil'"),
    "no language model": (lambda f: change(f, architectures=["GPT2ForSequenceClassification"]), "no causal language"),
    "quantised": (lambda f: change(f, quantization_config={"quant_method": "x"}), "quantised"),
    "an adapter": (lambda f: (f / "adapter_config.json").write_text("{}"), "base model lies elsewhere"),
    "another width": (lambda f: change(f, n_embd=32), "mismatched weights"),
    "a larger model": (lambda f: change(f, n_layer=10_000), "larger than its weights"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
    "fewer layers": (lambda f: change(f, n_layer=1), "unexpected weights"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_folder_that_is_not_what_it_seems_is_refused_in_two_lines(saved, fault):
    folder = saved(gpt(of_bytes()), of_bytes())
    damage, why = BROKEN[fault]
    damage(folder)
    with pytest.raises(GenbenchError) as caught:
        opened(folder, "?start=0")
    assert why in caught.value.problem
    assert len(str(caught.value).splitlines()) == 2


def test_a_model_that_sees_what_comes_is_refused(saved):
    tokenizer = of_bytes()
    config = transformers.BertConfig(
        vocab_size=256, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    torch.manual_seed(0)
    net = transformers.BertLMHeadModel(config)
    with pytest.raises(GenbenchError, match="no causal model"):
        opened(saved(net, tokenizer), "?start=0")
    config.is_decoder = True
    assert opened(saved(transformers.BertLMHeadModel(config), tokenizer, "decoder"), "?start=0").context == 512


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "no start token"),
        ("?start=nothing", "start is 'nothing'"),
        ("?start=256", "start is 256"),
        ("?start=0&context=65", "the model reads 64 tokens"),
        ("?start=0&context=8&stride=9", "stride is 9"),
        ("?start=0&temperature=0", "temperature is 0"),
        ("?start=0&temprature=1", "unknown argument"),
    ],
)
def test_arguments_that_cannot_be_are_refused(saved, query, why):
    with pytest.raises(GenbenchError) as caught:
        opened(saved(gpt(of_bytes()), of_bytes()), query)
    assert why in caught.value.problem


def test_a_tokenizer_that_does_not_give_the_text_back_scores_nothing(saved):
    own = tokenizers.Tokenizer(tokenizers.models.BPE({c: i for i, c in enumerate("abc?")}, [], unk_token="?"))
    own.decoder = tokenizers.decoders.Fuse()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=own)
    model = opened(saved(gpt(tokenizer), tokenizer), "?start=a")
    with pytest.raises(ModelError, match="gives another text back"):
        model.log_prob(torch.from_numpy(data().test).long())


def test_a_stream_needs_to_know_where_tokens_lie(saved):
    model = opened(saved(gpt(of_bytes()), of_bytes()), "?start=0")
    model.tokenizer = type("Slow", (), {"is_fast": False})()
    with pytest.raises(Unavailable, match="which characters"):
        model.log_prob_stream(torch.zeros(4, dtype=torch.long))


def test_images_are_no_text(saved):
    digits = datasets.load("digits")
    with pytest.raises(GenbenchError, match="dataset 'digits' is none"):
        parse(f"transformers:{saved(gpt(of_bytes()), of_bytes())}", digits)


def test_weights_tokenizer_alphabet_arguments_and_release_decide_the_identity(saved, monkeypatch):
    folder = saved(gpt(of_bytes()), of_bytes())
    key = parse(f"transformers:{folder}", data()).key
    assert key == parse(f"other=transformers:{folder}", data()).key
    assert key != parse(f"transformers:{folder}?stride=3", data()).key
    assert key != parse(f"transformers:{folder}", data(TEXT.replace("c", "k"))).key
    with monkeypatch.context() as patch:
        patch.setattr("importlib.metadata.version", lambda library: {"transformers": "9.9"}[library])
        assert key != parse(f"transformers:{folder}", data()).key
    change(folder, "tokenizer_config.json", model_max_length=10)
    assert key != parse(f"transformers:{folder}", data()).key


def test_the_command_measures_a_folder_on_a_text_of_ones_own(saved, cli):
    letters = sorted(set(TEXT))
    folder = saved(gpt(of_letters(letters), scale=2.0), of_letters(letters))
    Path("mine.txt").write_text(TEXT * 100, encoding="utf-8")
    asked = "--dataset", "./mine.txt", "--metrics", "nll,nll-stream,copies", "--samples", 20, "--limit", 3
    assert cli("evaluate", f"mine=transformers:{folder}?start=a", *asked, "-o", "run")[0] == 0
    records = [json.loads(path.read_text()) for path in Path("run/cells").glob("*.json")]
    found = {r["metric"]["name"]: r for r in records if r["model"]["adapter"] == "transformers"}
    for name in ("nll", "nll-stream"):
        assert found[name]["kind"] == "exact"
        assert found[name]["metric"]["unit"] == "bits/char"
        assert found[name]["details"]["given"] == f"the start token {letters.index('a')} ('a')"
    bits, details = found["nll-stream"]["value"], found["nll-stream"]["details"]
    assert details["bits_per_byte"] * details["bytes"] == pytest.approx(bits * details["characters"])
    assert details["bytes"] > details["characters"]  # é is two
    assert found["copies"]["status"] == "ok"
