"""The sampling scripts of `examples/`, on a tiny random model and a fake server."""

import importlib.util
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import klimit

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGE = Path(__file__).parents[2] / "docs" / "getting-base-samples.md"


def load(path):
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_prompts(folder, *prompt_ids):
    path = folder / "prompts.jsonl"
    rows = [{"prompt_id": name, "prompt": f"say {name}"} for name in prompt_ids]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read_rows(folder):
    return [
        json.loads(line)
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]


# The page


def quoted_blocks():
    page = PAGE.read_text(encoding="utf-8")
    return [block.split("```", 1)[0] for block in page.split("```python\n")[1:]]


def test_the_page_quotes_the_scripts_word_for_word():
    scripts = [path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*.py")]
    blocks = quoted_blocks()
    assert len(blocks) == 4
    for block in blocks:
        assert any(block in script for script in scripts), block


# The OpenAI-compatible server


class FakeServer(ThreadingHTTPServer):
    """Answers completions with numbered texts; remembers what it was asked."""

    def __init__(self, *, failures=0, code=503, at_most=None, logprobs=True):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.lock = [], threading.Lock()
        self.failures, self.code = failures, code
        self.at_most, self.logprobs = at_most, logprobs

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.asked.append(
                {"path": self.path, "body": body, "key": self.headers["Authorization"]}
            )
            number = len(server.asked)
            failing = server.failures > 0
            server.failures -= failing
        if failing:
            self.reply(server.code, {"error": {"message": "not now"}})
            return
        choices = [
            self.choice(f"answer {number}.{i}")
            for i in range(min(body["n"], server.at_most or body["n"]))
        ]
        self.reply(200, {"choices": choices})

    def choice(self, text):
        """Two tokens of -0.5 and -1.25 nats, in the shape of the endpoint that was asked."""
        chat = self.path.endswith("/chat/completions")
        told = None
        if self.server.logprobs and chat:
            told = {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1.25}]}
        elif self.server.logprobs:
            told = {"tokens": ["a", "b"], "token_logprobs": [-0.5, -1.25]}
        if chat:
            return {"message": {"role": "assistant", "content": text}, "logprobs": told}
        return {"text": text, "logprobs": told}

    def reply(self, code, answer):
        data = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words):
        pass


@pytest.fixture
def serve():
    """Start fake servers; stop them after the test."""
    servers = []

    def start(**options):
        server = FakeServer(**options)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def openai():
    return load(EXAMPLES / "sample_openai.py")


@pytest.fixture
def run_openai(openai, tmp_path):
    def run(server, *options):
        prompts = write_prompts(tmp_path, "red", "blue")
        folder = tmp_path / "samples"
        openai.main([server.url, "tiny", str(prompts), str(folder), *options])
        return folder

    return run


@pytest.mark.parametrize("chat", [False, True])
def test_every_prompt_gets_its_samples_with_log_probabilities(serve, run_openai, chat):
    server = serve()
    options = ["--samples", "6", "--slice-size", "4", *(["--chat"] if chat else [])]
    rows = read_rows(run_openai(server, *options))
    assert sorted(row["prompt_id"] for row in rows) == ["blue"] * 6 + ["red"] * 6
    assert {(row["logprob"], row["tokens"]) for row in rows} == {(-1.75, 2)}
    assert {row["prompt"] for row in rows} == {"say red", "say blue"}
    path = "/v1/chat/completions" if chat else "/v1/completions"
    assert {asked["path"] for asked in server.asked} == {path}


def test_requests_ask_for_the_models_own_distribution(serve, run_openai):
    server = serve()
    run_openai(server, "--samples", "2", "--extra", '{"top_k": -1}')
    for asked in server.asked:
        body = asked["body"]
        assert (body["temperature"], body["top_p"], body["top_k"]) == (1.0, 1.0, -1)


def test_every_request_has_a_seed_of_its_own(serve, run_openai):
    server = serve(at_most=1)
    run_openai(server, "--samples", "8", "--slice-size", "4")
    seeds = [asked["body"]["seed"] for asked in server.asked]
    assert len(set(seeds)) == len(seeds) == 16


def test_a_server_that_ignores_n_is_asked_again(serve, run_openai):
    rows = read_rows(run_openai(serve(at_most=1), "--samples", "3"))
    assert len({row["completion"] for row in rows}) == len(rows) == 6


def test_a_stopped_run_asks_only_for_what_is_missing(serve, run_openai):
    first, second = serve(), serve()
    folder = run_openai(first, "--samples", "8", "--slice-size", "4")
    (folder / "red.0001.jsonl").unlink()
    kept = (folder / "red.0000.jsonl").read_text()
    run_openai(second, "--samples", "8", "--slice-size", "4")
    assert [asked["body"]["prompt"] for asked in second.asked] == ["say red"]
    assert (folder / "red.0000.jsonl").read_text() == kept
    assert len(read_rows(folder)) == 16
    again = {asked["body"]["seed"] for asked in second.asked}
    assert again <= {asked["body"]["seed"] for asked in first.asked}


@pytest.mark.parametrize("code", [429, 503])
def test_a_busy_server_is_asked_again(serve, openai, code):
    server = serve(failures=2, code=code)
    answer = openai.ask(f"{server.url}/completions", {"n": 1}, wait=0.01)
    assert len(answer["choices"]) == 1
    assert len(server.asked) == 3


def test_a_refusal_is_shown_and_nothing_is_written(serve, run_openai, tmp_path):
    with pytest.raises(SystemExit, match=r"answered 400: .*not now"):
        run_openai(serve(failures=99, code=400), "--samples", "2")
    assert list((tmp_path / "samples").iterdir()) == []


def test_a_server_that_is_away_is_named(openai):
    with pytest.raises(SystemExit, match=r"127\.0\.0\.1:9/v1 does not answer"):
        openai.ask("http://127.0.0.1:9/v1", {}, tries=1)


def test_log_probabilities_that_are_not_told_stay_missing(serve, run_openai, capsys):
    rows = read_rows(run_openai(serve(logprobs=False), "--samples", "2"))
    assert {(row["logprob"], row["tokens"]) for row in rows} == {(None, None)}
    assert "4 samples came without log-probabilities" in capsys.readouterr().err


def test_the_key_comes_from_the_environment(serve, run_openai, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-real-key")
    server = serve()
    run_openai(server, "--samples", "1")
    assert {asked["key"] for asked in server.asked} == {"Bearer not-a-real-key"}


def test_a_prompt_id_that_is_no_file_name_is_refused(serve, openai, tmp_path):
    prompts = write_prompts(tmp_path, "../away")
    with pytest.raises(SystemExit, match="use letters, digits"):
        openai.main([serve().url, "tiny", str(prompts), str(tmp_path / "samples")])


# Rewards


def test_a_scored_folder_is_read_by_klimit(serve, run_openai, tmp_path):
    add_rewards = load(EXAMPLES / "add_rewards.py").add_rewards

    def score(prompt_id, prompt, completions):
        assert prompt == f"say {prompt_id}"
        return {"brevity": [-len(text) if i else None for i, text in enumerate(completions)]}

    samples, scored = run_openai(serve(), "--samples", "8"), tmp_path / "scored"
    written = list(add_rewards(samples, scored, score))
    assert list(add_rewards(samples, scored, score)) == []  # nothing is left to score
    assert written == sorted(scored.iterdir())
    base = klimit.read(scored)
    assert "2 prompts x 8 samples" in str(base)
    assert "brevity" in str(base)


# transformers

WORDS = ["<stop>", "<unknown>", "say", "red", "blue", "green"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with a random two-layer Llama of six words, made here, and its tokenizer."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(7)
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token=WORDS[1]))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token=WORDS[0], unk_token=WORDS[1]
    )
    config = transformers.LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.5,
        bos_token_id=None,
        eos_token_id=0,
    )
    folder = tmp_path_factory.mktemp("tiny")
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def script(tiny):
    return load(EXAMPLES / "sample_transformers.py")


def model_of(script, folder):
    return script.AutoModelForCausalLM.from_pretrained(folder).eval()


def draw_many(script, model, *, samples, max_tokens, stop=(0,), seed=0):
    import torch

    return script.draw(
        model,
        torch.tensor([2, 3]),
        samples=samples,
        max_tokens=max_tokens,
        stop=set(stop),
        generator=torch.Generator().manual_seed(seed),
    )


def exact_logprob(model, completion):
    """One teacher-forced pass without a cache."""
    import torch

    with torch.inference_mode():
        tokens = torch.tensor([[2, 3, *completion]])
        log_p = torch.log_softmax(model(tokens).logits[0].double(), dim=-1)
    return sum(float(log_p[1 + step, token]) for step, token in enumerate(completion))


@pytest.mark.torch
def test_log_probabilities_agree_with_a_teacher_forced_pass(script, tiny):
    model = model_of(script, tiny)
    completions, logprob = draw_many(script, model, samples=200, max_tokens=12)
    assert len({len(completion) for completion in completions}) > 3  # rows left the batch
    for completion, value in zip(completions, logprob.tolist(), strict=True):
        assert value == pytest.approx(exact_logprob(model, completion), abs=1e-4)


@pytest.mark.torch
def test_the_stop_token_ends_a_completion_and_counts(script, tiny):
    completions, _ = draw_many(script, model_of(script, tiny), samples=200, max_tokens=6)
    for completion in completions:
        assert 0 not in completion[:-1]
        assert completion[-1] == 0 or len(completion) == 6


@pytest.mark.torch
def test_samples_follow_the_models_own_distribution(script, tiny):
    model = model_of(script, tiny)
    completions, _ = draw_many(script, model, samples=20_000, max_tokens=2, stop=())
    pairs = list(product(range(len(WORDS)), repeat=2))
    seen = np.array([sum(c == list(pair) for c in completions) for pair in pairs])
    expected = 20_000 * np.exp([exact_logprob(model, pair) for pair in pairs])
    chi_square = np.sum((seen - expected) ** 2 / expected)
    assert chi_square < 75  # 35 degrees of freedom; past it with probability 1e-4


@pytest.mark.torch
def test_one_copy_of_the_prompt_gives_the_same_samples(script, tiny, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    shared = load(EXAMPLES / "make" / "shared_prompt.py")
    plain = draw_many(script, model_of(script, tiny), samples=200, max_tokens=12)
    one_copy = shared.SharedPromptModel(model_of(script, tiny))
    completions, logprob = draw_many(script, one_copy, samples=200, max_tokens=12)
    assert completions == plain[0]
    assert logprob.tolist() == pytest.approx(plain[1].tolist(), abs=1e-4)


@pytest.mark.torch
def test_a_slice_can_be_drawn_again_alone(tiny, tmp_path):
    prompts, folder = write_prompts(tmp_path, "red", "blue"), tmp_path / "samples"
    command = [sys.executable, EXAMPLES / "sample_transformers.py", tiny, prompts, folder]
    command += ["--samples", "6", "--slice-size", "4", "--max-tokens", "5"]
    offline = os.environ | {"HF_HUB_OFFLINE": "1"}
    subprocess.run(command, check=True, capture_output=True, env=offline)
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert sorted(before) == [
        f"{name}.000{part}.jsonl" for name in ("blue", "red") for part in "01"
    ]
    (folder / "red.0001.jsonl").unlink()
    done = subprocess.run(command, check=True, capture_output=True, env=offline, text=True)
    assert done.stdout.splitlines() == [str(folder / "red.0001.jsonl")]
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    rows = read_rows(folder)
    assert len(rows) == 12
    assert set(rows[0]) == {"prompt_id", "prompt", "completion", "logprob", "tokens"}
