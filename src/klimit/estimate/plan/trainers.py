"""The coefficient of each trainer, from its own loss; the common argument is in `settings`.

Read from TRL 1.16 (its PPO from 1.12, the last release that has it), verl 0.9.1 and OpenRLHF
0.11.2. ``tests/estimate/test_settings.py`` takes the mean gradient of each of these losses by
enumeration.
"""

from __future__ import annotations

from collections.abc import Iterator

from klimit.estimate.plan.settings import Setting, Target, rounded, shown
from klimit.estimate.result import nats

_PER_TOKEN = "the budget over the mean tokens of a completion"
_ABOUT = "about the budget over the mean tokens of a completion"
_OWN_MEAN = "our beta times 1 - 1/G, as the group's mean contains the completion itself"
_IN_LOSS = "the KL is in the loss, so its optimum is the tilt to first order only: watch the KL"


def trl(target: Target) -> Iterator[Setting]:
    """TRL: RLOO, PPO and GRPO.

    Notes
    -----
    RLOO (``trl/trainer/rloo_trainer.py``: ``_generate_and_score_completions``, ``_compute_loss``):
    ``rewards - beta * kl`` with kl the k1 summed over the completion, a leave-one-out baseline, one
    ratio for the whole completion. So beta is our beta; ``normalize_advantages`` divides penalised
    returns and moves nothing.

    PPO (``trl/experimental/ppo/ppo_trainer.py``: ``train``; up to TRL 1.12): ``-kl_coef * k1`` on
    every token, the score on the last, returns to go with gamma 1. So kl_coef is our beta.
    ``kl_estimator="k3"`` trains something else, and ``temperature`` is 0.7 unless it is set.

    GRPO (``trl/trainer/grpo_trainer.py``: ``_generate_and_score_completions``, ``_compute_loss``):
    the advantage ``(reward - group mean) / s`` on every token, and ``beta * k3`` added per token,
    times the ratio with ``use_bias_correction_kl``. The mean gradient is ``(1 - 1/G) / s * grad E
    reward`` less c times that of the penalty, so ``c = beta (1 - 1/G) / s``. s is 1 with
    ``scale_rewards="none"``. With ``"batch"`` it is the spread of the whole batch, taken at the
    optimum because there the gradient must vanish. With ``"group"`` it is each group's own, and no
    single number does. ``loss_type`` dapo, bnpo, dr_grpo and luspo weigh all tokens alike; "grpo"
    does not.
    """
    yield Setting(
        trainer="TRL RLOO",
        options={"beta": rounded(target.beta)},
        value=target.beta,
        exact=True,
        logs=f"kl, {_PER_TOKEN}",
        logged=target.per_token,
        note="beta multiplies the summed k1 of a completion inside its reward: it is our beta",
    )
    yield Setting(
        trainer="TRL PPO (experimental, up to 1.12)",
        options={
            "kl_coef": rounded(target.beta),
            "kl_estimator": "k1",
            "gamma": 1.0,
            "temperature": 1.0,
        },
        value=target.beta,
        exact=True,
        logs="objective/kl, the budget itself",
        logged=target.kl,
        note="kl_coef multiplies k1 inside the reward of each token: it is our beta (k1, not k3)",
    )
    fixed = {"use_bias_correction_kl": False, "loss_type": "dapo", "num_generations": target.group}
    yield Setting(
        trainer="TRL GRPO, rewards not scaled",
        options={"beta": rounded(target.plain), "scale_rewards": "none", **fixed},
        value=target.plain,
        exact=False,
        logs=f"kl, {_PER_TOKEN}",
        logged=target.per_token,
        note=f"{_OWN_MEAN}; {_IN_LOSS}",
    )
    scaled = target.plain / target.batch_sd
    yield Setting(
        trainer="TRL GRPO, scaled by batch",
        options={"beta": rounded(scaled), "scale_rewards": "batch", **fixed},
        value=scaled,
        exact=False,
        logs=f"kl, {_PER_TOKEN}",
        logged=target.per_token,
        note=f"{_OWN_MEAN}, over {shown(target.batch_sd)}, the spread of a batch's rewards at the "
        f"optimum ({shown(target.base_sd)} before training); {_IN_LOSS}",
    )
    yield Setting(
        trainer="TRL GRPO, scaled by group (the default)",
        options={"scale_rewards": "group"},
        value=None,
        exact=False,
        logs=f"kl, {_PER_TOKEN}",
        logged=target.per_token,
        note=_no_number(target, "beta"),
    )


def verl(target: Target) -> Iterator[Setting]:
    """The KL in the reward of verl, and in its loss.

    Notes
    -----
    In the reward (``verl/trainer/ppo/ray_trainer.py``: ``apply_kl_penalty``): ``score -
    kl_coef * kld`` token by token, before any advantage is computed. GRPO's scaling
    (``core_algos.py``: ``compute_grpo_outcome_advantage``), RLOO, GAE and whitening all act on
    penalised returns, which are constant at the tilt. So kl_coef is our beta, with
    ``kl_penalty=kl`` (k1) and a fixed controller. Only ``gdpo`` reads the rewards' components as they
    were, and never sees the penalty.

    In the loss (``verl/workers/utils/losses.py``: ``ppo_loss``): ``kl_loss_coef *
    agg_loss(kl_penalty)``, averaged as the policy's loss is. ``low_var_kl`` is plain k3, ``mse``
    and ``k3+`` have the gradient of k2, ``kl`` alone does not pull. GRPO's group mean contains the
    completion, so ``c = beta (1 - 1/G)`` without ``norm_adv_by_std_in_grpo``; with it (the
    default) every prompt has a beta of its own. All of ``loss_agg_mode`` but
    ``seq-mean-token-mean`` weigh all tokens alike.
    """
    yield Setting(
        trainer="verl, KL in the reward (any advantage estimator but gdpo)",
        options={
            "algorithm.use_kl_in_reward": True,
            "algorithm.kl_penalty": "kl",
            "algorithm.kl_ctrl.type": "fixed",
            "algorithm.kl_ctrl.kl_coef": rounded(target.beta),
            "actor_rollout_ref.actor.use_kl_loss": False,
        },
        value=target.beta,
        exact=True,
        logs=f"actor/reward_kl_penalty, {_ABOUT}",
        logged=target.per_token,
        note="kl_coef multiplies k1 inside the reward before advantages are formed: it is our "
        "beta, scaled by group or not",
    )
    yield Setting(
        trainer="verl GRPO, KL in the loss, rewards not scaled",
        options={
            "algorithm.adv_estimator": "grpo",
            "algorithm.norm_adv_by_std_in_grpo": False,
            "actor_rollout_ref.actor.use_kl_loss": True,
            "actor_rollout_ref.actor.kl_loss_type": "low_var_kl",
            "actor_rollout_ref.actor.kl_loss_coef": rounded(target.plain),
            "actor_rollout_ref.rollout.n": target.group,
        },
        value=target.plain,
        exact=False,
        logs=f"actor/kl_loss, {_PER_TOKEN}",
        logged=target.per_token,
        note=f"{_OWN_MEAN}; {_IN_LOSS}",
    )
    yield Setting(
        trainer="verl GRPO, KL in the loss, scaled by group (the default)",
        options={
            "algorithm.norm_adv_by_std_in_grpo": True,
            "actor_rollout_ref.actor.use_kl_loss": True,
        },
        value=None,
        exact=False,
        logs=f"actor/kl_loss, {_PER_TOKEN}",
        logged=target.per_token,
        note=_no_number(target, "kl_loss_coef"),
    )


def openrlhf(target: Target) -> Iterator[Setting]:
    """The KL in the reward of OpenRLHF, and in its loss.

    Notes
    -----
    In the reward (``openrlhf/trainer/ppo_utils/experience_maker.py``:
    ``compute_advantages_and_returns``; ``models/utils.py``: ``compute_reward``): the score is
    centred or scaled by its group first; then ``-init_coef * k1`` is added to every token and
    returns to go are summed. So ``rloo`` (leave-one-out), ``reinforce`` and ``gae`` have c = our
    beta. ``dr_grpo`` and ``reinforce_baseline`` centre the score, not the KL, by a mean that
    contains the completion: ``c = beta (1 - 1/G)``, and the tilt is exact still. ``group_norm``
    divides the score alone by its group's spread: no single number. Scores are clipped to -10 and
    10 unless ``--reward.clip_range`` says otherwise.

    In the loss (``openrlhf/trainer/ray/ppo_actor.py``: ``training_step``): ``init_coef *
    aggregate_loss(kl)``, a mean over tokens as the policy's own loss. k3 is plain; k2, and any
    estimator with ``--algo.kl.unbiased_gradient``, has the gradient of k2; k1 does not pull.
    """
    size = {"--rollout.n_samples_per_prompt": target.group}
    yield Setting(
        trainer="OpenRLHF rloo, reinforce or gae, KL in the reward",
        options={"--algo.kl.init_coef": rounded(target.beta), "--algo.kl.estimator": "k1"},
        value=target.beta,
        exact=True,
        logs=f"kl, {_ABOUT}",
        logged=target.per_token,
        note="init_coef multiplies k1 inside the reward of each token: it is our beta (up to "
        "0.10.1 the options are --init_kl_coef and --kl_estimator)",
    )
    yield Setting(
        trainer="OpenRLHF dr_grpo or reinforce_baseline, KL in the reward",
        options={
            "--algo.advantage.estimator": "dr_grpo",
            "--algo.kl.estimator": "k1",
            "--algo.kl.init_coef": rounded(target.plain),
            **size,
        },
        value=target.plain,
        exact=True,
        logs=f"kl, {_ABOUT}",
        logged=target.per_token,
        note=f"{_OWN_MEAN}, and it centres the score alone",
    )
    yield Setting(
        trainer="OpenRLHF dr_grpo, KL in the loss",
        options={
            "--algo.advantage.estimator": "dr_grpo",
            "--algo.kl.use_loss": True,
            "--algo.kl.estimator": "k3",
            "--algo.kl.init_coef": rounded(target.plain),
            **size,
        },
        value=target.plain,
        exact=False,
        logs=f"kl, {_PER_TOKEN}",
        logged=target.per_token,
        note=f"{_OWN_MEAN}; {_IN_LOSS}; k1 in the loss would not pull at all",
    )
    yield Setting(
        trainer="OpenRLHF group_norm",
        options={"--algo.advantage.estimator": "group_norm"},
        value=None,
        exact=False,
        logs=f"kl, {_ABOUT}",
        logged=target.per_token,
        note=_no_number(target, "--algo.kl.init_coef"),
    )


def _no_number(target: Target, name: str) -> str:
    return (
        "no single number, it differs by prompt: a prompt's own beta is the coefficient times the "
        f"spread of its rewards, over 1 - 1/G. {name} of about {shown(target.group_scaled)} spends "
        f"{nats(target.kl)} on every prompt to second order, far off where rewards are skewed"
    )
