"""The callback beside a trainer that is played by hand."""

import asyncio
import functools
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

import klimit
from klimit import ArgumentError, DataError, EstimateWarning
from klimit.integrations._kl import base_of, prompt_ids
from klimit.integrations.trl import FrontierCallback, Stop

PROMPTS = [f"prompt {i}" for i in range(12)]


def base_samples(spread=1.0, samples=64):
    """Prompt i has rewards around i."""
    rng = np.random.default_rng(0)
    rewards = np.arange(12)[:, None] + spread * rng.normal(size=(12, samples))
    return klimit.read(
        {
            "prompt_id": np.repeat([f"id {i}" for i in range(12)], samples),
            "prompt": np.repeat(PROMPTS, samples),
            "score": rewards.ravel(),
        }
    )


class Trainer:
    """Calls reward functions and callbacks in the order in which TRL's GRPO does."""

    def __init__(self, callback, *functions, **args):
        self.args = SimpleNamespace(**{"temperature": 1.0, "reward_weights": None} | args)
        self.state = SimpleNamespace(global_step=0, is_world_process_zero=True)
        self.control = SimpleNamespace(should_training_stop=False)
        self.callback, self.logged = callback, []
        self.functions = callback.wrap(list(functions))

    def begin(self):
        self.callback.on_train_begin(self.args, self.state, self.control)
        return self

    def step(self, prompts, completions, **columns):
        row = {}
        given = {"prompts": prompts, "completions": completions, "log_metric": row.__setitem__}
        for function in self.functions:
            answer = function(**given, **columns)
            if asyncio.iscoroutine(answer):
                asyncio.run(answer)
        self.state.global_step += 1
        self.logged.append({name.removeprefix("frontier/"): x for name, x in row.items()})
        self.callback.on_step_end(self.args, self.state, self.control)
        return self.logged[-1]


def score(prompts, completions, **_):
    return [float(text) for text in completions]


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_an_infinite_reward_places_nothing_and_ends_no_training():
    callback = FrontierCallback(base=base_samples())
    trainer = Trainer(callback, score).begin()
    log = {"kl": 0.01, "completions/mean_length": 50.0}
    callback.on_log(trainer.args, trainer.state, trainer.control, logs=log)
    assert trainer.step(PROMPTS, ["-inf", *map(str, range(1, 12))]) == {}
    assert "gain" in trainer.step(PROMPTS, list(map(str, range(12))))


def test_the_gain_is_over_the_bases_mean_of_the_same_prompts():
    base = base_samples()
    trainer = Trainer(FrontierCallback(base), score).begin()
    found = trainer.step(PROMPTS[10:] * 2, [11.0, 12.0, 11.0, 12.0])
    means = base.frame().group_by("prompt").agg(reward=klimit_mean("score"))
    own = dict(means.iter_rows())
    expected = np.mean([11.0 - own["prompt 10"], 12.0 - own["prompt 11"]])
    assert found["gain"] == pytest.approx(expected)
    assert found["gain_low"] <= found["gain"] <= found["gain_high"]
    limit = klimit.frontier(base)
    assert found["least_kl"] == pytest.approx(float(limit.kl(gain=expected)))
    assert "kl" not in found


def klimit_mean(name):
    import polars as pl

    return pl.col(name).mean()


def test_prompts_are_known_by_their_id_their_text_or_the_users_message():
    messages = [[{"role": "system", "content": "be kind"}, {"role": "user", "content": text}]
                for text in PROMPTS]  # fmt: skip
    gains = [
        Trainer(FrontierCallback(base_samples()), score).begin().step(prompts, range(12), **more)
        for prompts, more in (
            (PROMPTS, {}),
            (messages, {}),
            ([f"rendered {i}" for i in range(12)], {"prompt_id": [f"id {i}" for i in range(12)]}),
        )
    ]
    assert gains[0] == gains[1] == gains[2]
    assert abs(gains[0]["gain"]) < 0.3


def test_other_prompts_are_a_second_sample_of_the_population_and_more_uncertain():
    paired, other = (
        Trainer(FrontierCallback(base_samples()), score).begin().step(prompts, range(12))
        for prompts in (PROMPTS, [f"new {i}" for i in range(12)])
    )
    assert other["gain"] == pytest.approx(paired["gain"])
    assert other["gain_high"] - other["gain_low"] > 5 * (paired["gain_high"] - paired["gain_low"])


def test_the_first_steps_rollouts_can_be_the_base():
    trainer = Trainer(FrontierCallback(), score).begin()
    rng = np.random.default_rng(1)
    assert trainer.step(PROMPTS * 8, rng.normal(size=96)) == {}
    assert trainer.step(PROMPTS * 8, rng.normal(loc=0.5, size=96))["gain"] == pytest.approx(
        0.5, abs=0.3
    )


def test_one_rollout_per_prompt_is_no_base():
    with pytest.raises(DataError, match="no prompt of the first step has two rewards"):
        Trainer(FrontierCallback(), score).begin().step(PROMPTS, range(12))


def test_an_evaluation_before_the_first_step_is_not_the_first_step():
    def gold(prompts, completions, **_):
        return [-float(x) for x in completions]

    for base in (None, base_samples()):
        trainer = Trainer(FrontierCallback(base, reward="score", gold="gold"), score, gold,
                          reward_weights=[1.0, 0.0])  # fmt: skip
        model = SimpleNamespace(training=False)
        trainer.callback.on_train_begin(trainer.args, trainer.state, trainer.control, model=model)
        found = trainer.step([f"new {i}" for i in range(4)], [7.0, 8.0, 9.0, 9.5])
        assert "gold_gain" not in found
        assert ("gain" in found) is (base is not None)
        model.training = True
        assert trainer.step(PROMPTS * 4, np.arange(48) % 13)["gold_gain"] == 0.0
        assert trainer.step(PROMPTS * 4, np.arange(48) % 13)["gain"] < 1.0


def test_a_resumed_run_has_no_first_step():
    trainer = Trainer(FrontierCallback(), score)
    trainer.state.global_step = 40
    with pytest.raises(ArgumentError, match="step 40"):
        trainer.begin()


def test_rewards_are_weighed_as_the_trainer_weighs_them_and_missing_ones_left_out():
    def half(prompts, completions, **_):
        return [None if x > 11 else 2.0 for x in completions]

    trainer = Trainer(FrontierCallback(base_samples(), reward="score"), score, half,
                      reward_weights=[1.0, 0.5]).begin()  # fmt: skip
    with_half = trainer.step(PROMPTS[10:], [11.0, 12.0])["gain"]
    alone = (
        Trainer(FrontierCallback(base_samples()), score).begin().step(PROMPTS[10:], [12.0, 12.0])
    )
    assert with_half == pytest.approx(alone["gain"])


def test_functions_keep_their_names_and_may_be_awaited():
    async def slow(prompts, completions, **_):
        await asyncio.sleep(0)
        return score(prompts, completions)

    trainer = Trainer(FrontierCallback(base_samples()), slow).begin()
    assert trainer.functions[0].__name__ == "slow"
    assert asyncio.iscoroutinefunction(trainer.functions[0])
    assert "gain" in trainer.step(PROMPTS, range(12))


class Judge:
    """A reward that is an object, called or awaited."""

    def __call__(self, prompts, completions, **_):
        return score(prompts, completions)


class SlowJudge:
    async def __call__(self, prompts, completions, **_):
        await asyncio.sleep(0)
        return score(prompts, completions)


def test_objects_and_partial_functions_have_the_names_that_the_trainer_gives_them():
    given = (Judge(), SlowJudge(), functools.partial(functools.partial(score), extra=1))
    callback = FrontierCallback(base_samples(), reward="score", gold="SlowJudge")
    trainer = Trainer(callback, *given, reward_weights=[0.5, 0.0, 0.5]).begin()
    names = [function.__name__ for function in trainer.functions]
    assert names == ["Judge", "SlowJudge", "score"]
    assert [asyncio.iscoroutinefunction(one) for one in trainer.functions] == [False, True, False]
    trainer.step(PROMPTS, range(12))
    assert trainer.step(PROMPTS, range(2, 14))["gold_gain"] == 2.0


def test_of_too_few_rewards_the_trainer_complains():
    assert (
        Trainer(FrontierCallback(base_samples()), lambda **_: [1.0]).begin().step(PROMPTS, "") == {}
    )


def test_a_single_function_stays_single():
    wrapped = FrontierCallback().wrap(score)
    assert wrapped(prompts=["a"], completions=[1]) == [1.0]


def test_training_stops_where_the_gold_reward_falls(capsys):
    def gold(prompts, completions, **_):
        return [-float(x) for x in completions]

    callback = FrontierCallback(
        base_samples(), reward="score", gold="gold", stop=Stop(gold_drop=1.0, patience=2)
    )
    trainer = Trainer(callback, score, gold, reward_weights=[1.0, 0.0]).begin()
    for step in range(8):
        found = trainer.step(PROMPTS, np.arange(12) + step)
        if trainer.control.should_training_stop:
            break
    assert 3 <= step < 6
    assert found["gold_gain"] == -step
    assert found["gain"] == pytest.approx(step, abs=0.3)  # gold is no part of it
    callback.on_train_end(trainer.args, trainer.state, trainer.control)
    said = capsys.readouterr()
    assert "stopped the training" in said.out
    assert "klimit took" in said.err


def test_stop_counts_measurements_in_a_row():
    rule = Stop(efficiency=0.5, kl=4.0, patience=2)
    assert not rule.reason([{"efficiency": 0.4}])
    assert not rule.reason([{"efficiency": 0.4}, {"efficiency": 0.6}, {"efficiency": 0.4}])
    assert rule.reason([{"efficiency": 0.4}, {"gain": 1.0}, {"efficiency": 0.4}])
    beyond = {"efficiency": 0.4, "efficiency_high": 0.9, "trusted": 0.0}
    assert not rule.reason([beyond, beyond])  # the limit may lie above the guess: no ground to stop
    assert rule.reason([{"kl": 5.0}, {"kl": 5.0}]).startswith("kl was above 4")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Stop(), "no rule"),
        (lambda: Stop(kl=1.0, patience=0), "patience"),
        (lambda: FrontierCallback(kl_every=0), "kl_every"),
        (lambda: FrontierCallback(stop=Stop(gold_drop=1.0)), "gold="),
        (lambda: FrontierCallback(gold="truth").wrap([score]), "'truth' is none of"),
        (lambda: FrontierCallback().wrap([score], weights=[1, 2]), "2 numbers for 1"),
        (lambda: FrontierCallback().wrap(["a/reward-model"]), "is str"),
    ],
)
def test_settings_that_are_off_are_errors(made, said):
    with pytest.raises(ArgumentError, match=said):
        made()


def test_weights_of_functions_that_were_not_wrapped_are_told():
    trainer = Trainer(FrontierCallback(base_samples()), score, reward_weights=[1.0, 0.5])
    with pytest.raises(ArgumentError, match="2 numbers for 1 wrapped"):
        trainer.begin()
    trainer.callback.wrap([score], weights=[1.0])
    trainer.begin()


def test_a_trainer_without_wrapped_functions_is_told():
    with pytest.raises(ArgumentError, match="wrap"):
        FrontierCallback().on_train_begin(None, None, None)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temperature": 0.7, "top_k": 50}, r"temperature 0\.7 and top_k 50, from another policy"),
        ({"min_p": 0.1}, r"min_p 0\.1"),
        (
            {"top_p": 1.0, "top_k": -1, "min_p": None, "repetition_penalty": 1.2},
            "at repetition_penalty",
        ),
    ],
)
def test_another_temperature_is_another_policy(given, said):
    trainer = Trainer(FrontierCallback(base_samples()), score, **given)
    with pytest.warns(EstimateWarning, match=said):
        trainer.begin()


class Peft:
    """As much of a peft model as the base needs; says which adapter is on."""

    def __init__(self, *adapters, trained=False):
        self.peft_config, self.active_adapter = dict.fromkeys(adapters), "default"
        self.trained = trained

    def named_parameters(self):
        yield "q.lora_A.default.weight", np.ones(2)
        yield "q.lora_B.default.weight", np.full(2, float(self.trained))

    def set_adapter(self, name):
        self.active_adapter = name

    @contextmanager
    def disable_adapter(self):
        self.active_adapter = None
        yield
        self.active_adapter = "default"

    def __call__(self, **_):
        return self.active_adapter


def test_the_base_of_an_adapter_trained_before_is_the_copy_that_the_trainer_keeps():
    """TRL's "ref", made where beta is not 0; else the model without adapters."""
    for model, on in ((Peft("default"), None), (Peft("default", "ref"), "ref")):
        assert base_of(model, None)(input_ids=1) == on
        assert model.active_adapter == "default"


def test_an_adapter_trained_before_is_warned_of_unless_its_copy_is_at_hand():
    with pytest.warns(EstimateWarning, match="the adapter was trained before"):
        begin(Peft("default", trained=True))
    begin(Peft("default"))
    begin(Peft("default", "ref", trained=True))
    begin(Peft("default", trained=True), step=40)


def begin(model, step=0):
    trainer = Trainer(FrontierCallback(base_samples()), score)
    trainer.state.global_step = step
    trainer.callback.on_train_begin(trainer.args, trainer.state, trainer.control, model=model)


def test_prompts_are_scored_as_the_trainer_renders_them(monkeypatch):
    class Words:
        def apply_chat_template(self, prompt, **how):
            return {"input_ids": [prompt[-1]["role"], how]}

    shown = {"tokenize": True, "return_dict": True, "add_generation_prompt": True}
    prompt = [{"role": "user", "content": "why"}, {"role": "assistant", "content": "as"}]
    ids = prompt_ids(prompt, Words(), enable_thinking=False)
    assert ids == ["assistant", shown | {"enable_thinking": False}]
    given = {}
    monkeypatch.setattr(
        "klimit.integrations.trl.sequence_kl", lambda *_, **how: given.update(how) or []
    )
    monkeypatch.setattr("klimit.integrations.trl.mean_kl", lambda *_: None)
    callback = FrontierCallback(base_samples(), kl_every=1)
    trainer = Trainer(callback, score, chat_template_kwargs={"enable_thinking": False})
    trainer.state.global_step, model = 1, Peft("default")
    callback.on_train_begin(trainer.args, trainer.state, None, model=model, processing_class=None)
    trainer.step(PROMPTS, range(12), completion_ids=[[1]] * 12)
    assert given == {"samples": 8, "template": {"enable_thinking": False}}


def test_placing_a_step_takes_milliseconds():
    """A step of generation and training takes seconds: this is far below 2 % of it."""
    callback = FrontierCallback(base_samples(samples=256))
    trainer = Trainer(callback, score).begin()
    for _ in range(20):
        trainer.step(PROMPTS * 32, np.tile(np.arange(12), 32) + 0.3)
    assert callback.overhead.steps == 20
    assert callback.overhead.placing / 20 < 0.1
    assert "s a step" in str(callback.overhead)
