"""The coefficient of each trainer, from its own loss. The common argument is in `klimit.estimate.settings`.

Read from TRL 1.16 (its PPO from 1.12, the last release that has it), verl 0.9.1 and OpenRLHF 0.11.2.
``tests/estimate/test_settings.py`` takes the mean gradient of each loss by enumeration.
"""

from __future__ import annotations

from collections.abc import Iterator

from klimit.estimate.settings import Setting, Target, shown, typed

_TOKEN_MEAN = "the budget over the mean tokens of a completion"
_OWN_MEAN = "(1 - 1/G) because the group's mean contains the completion itself"
_FIRST_ORDER = (
    "the KL stands in the loss, where no token answers for the KL of later ones: the tilt to first order only, "
    "so watch the KL"
)


def trl(target: Target) -> Iterator[Setting]:
    """TRL's RLOO, GRPO and PPO.

    Notes
    -----
    RLOO (``trl/trainer/rloo_trainer.py``, ``_generate_and_score_completions``): ``rewards - beta * kl`` with kl the sum of
    k1 over the completion, a leave-one-out baseline, and one ratio for the whole completion in ``_compute_loss``. Hence
    beta = our beta; ``normalize_advantages`` divides penalised returns and moves nothing.

    GRPO (``trl/trainer/grpo_trainer.py``, ``_generate_and_score_completions`` and ``_compute_loss``): the advantage is
    ``(reward - group mean) / s`` on every token, and ``beta * k3`` is added per token, times the ratio with
    ``use_bias_correction_kl``, which makes its gradient ``k1_t g_t``. The group's mean contains the completion, so the mean
    gradient is ``(1 - 1/G) / s * grad E reward - c * E sum of k1_t g_t``, and ``c = beta (1 - 1/G) / s``. s is 1 with
    ``scale_rewards="none"``; the standard deviation of the whole batch with ``"batch"``, to be taken at the optimum
    because that is where the gradient must vanish; each group's own with ``"group"``, so that no single number
    does. ``loss_type`` dapo, bnpo, dr_grpo and luspo weigh all tokens alike; "grpo" does not.

    PPO (``trl/experimental/ppo/ppo_trainer.py``, ``train``; up to TRL 1.12): ``-kl_coef * k1`` on every token and the score
    on the last, returns to go with gamma 1. Hence kl_coef = our beta. ``kl_estimator="k3"`` has the same mean but not the
    same policy gradient, as its own dependence on the policy is not differentiated. ``temperature`` is 0.7 by default.
    """
    own = target.own_mean
    yield Setting(
        "TRL RLOO",
        {"beta": typed(target.beta)},
        target.beta, True, f"kl, {_TOKEN_MEAN}", target.per_token,
        "beta multiplies the summed k1 of the completion inside the reward, so it is our beta",
    )  # fmt: skip
    yield Setting(
        "TRL PPO (experimental, up to 1.12)",
        {"kl_coef": typed(target.beta), "kl_estimator": "k1", "gamma": 1.0, "temperature": 1.0},
        target.beta, True, "objective/kl, the budget itself", target.kl,
        "kl_coef multiplies k1 inside the reward of every token, so it is our beta; k3 there has another optimum",
    )  # fmt: skip
    fixed = {"use_bias_correction_kl": True, "loss_type": "dapo", "num_generations": target.group}
    plain = target.beta * own
    yield Setting(
        "TRL GRPO, rewards not scaled",
        {"beta": typed(plain), "scale_rewards": "none", **fixed},
        plain, False, f"kl, {_TOKEN_MEAN}", target.per_token,
        f"our beta times {_OWN_MEAN}; {_FIRST_ORDER}",
    )  # fmt: skip
    scaled = plain / target.batch_sd
    yield Setting(
        "TRL GRPO, scaled by batch",
        {"beta": typed(scaled), "scale_rewards": "batch", **fixed},
        scaled, False, f"kl, {_TOKEN_MEAN}", target.per_token,
        f"our beta times {_OWN_MEAN}, over {shown(target.batch_sd)}, the spread of a batch's rewards at the optimum "
        f"({shown(target.base_sd)} before training); {_FIRST_ORDER}",
    )  # fmt: skip
    yield Setting(
        "TRL GRPO, scaled by group (the default)",
        {"scale_rewards": "group"},
        None, False, f"kl, {_TOKEN_MEAN}", target.per_token,
        _no_number(target, "beta"),
    )  # fmt: skip


def verl(target: Target) -> Iterator[Setting]:
    """Verl with the KL in the reward, and in the loss.

    Notes
    -----
    In the reward (``verl/trainer/ppo/ray_trainer.py``, ``apply_kl_penalty``): ``score - kl_coef * kld`` token by token before
    any advantage is computed, so GRPO's group scaling (``core_algos.py``, ``compute_grpo_outcome_advantage``), RLOO, GAE and
    whitening all act on penalised returns, which are constant at the tilt. Hence kl_coef = our beta with
    ``algorithm.kl_penalty=kl`` (k1) and ``kl_ctrl.type=fixed``.

    In the loss (``verl/workers/utils/losses.py``, ``ppo_loss``): ``kl_loss_coef * agg_loss(kl_penalty(...))`` with the same
    ``loss_agg_mode`` as the policy's loss. ``kl_penalty`` with ``k3+`` or ``mse`` has the gradient ``k1_t g_t``; ``low_var_kl`` (the
    default) is plain k3; ``kl`` alone does not pull. GRPO's group mean contains the completion: ``c = beta (1 - 1/G)``
    without ``norm_adv_by_std_in_grpo``, and with it (the default) each prompt has a beta of its own. All modes but
    ``seq-mean-token-mean`` weigh all tokens alike.
    """
    yield Setting(
        "verl, KL in the reward (any advantage estimator)",
        {
            "algorithm.use_kl_in_reward": True,
            "algorithm.kl_penalty": "kl",
            "algorithm.kl_ctrl.type": "fixed",
            "algorithm.kl_ctrl.kl_coef": typed(target.beta),
            "actor_rollout_ref.actor.use_kl_loss": False,
        },
        target.beta, True, "actor/reward_kl_penalty, mean within completions, about the budget over their tokens", target.per_token,
        "kl_coef multiplies k1 inside the reward before advantages are formed, so it is our beta, group scaling or not",
    )  # fmt: skip
    plain = target.beta * target.own_mean
    yield Setting(
        "verl GRPO, KL in the loss, rewards not scaled",
        {
            "algorithm.adv_estimator": "grpo",
            "algorithm.norm_adv_by_std_in_grpo": False,
            "actor_rollout_ref.actor.use_kl_loss": True,
            "actor_rollout_ref.actor.kl_loss_type": "k3+",
            "actor_rollout_ref.actor.kl_loss_coef": typed(plain),
            "actor_rollout_ref.rollout.n": target.group,
        },
        plain, False, f"actor/kl_loss, {_TOKEN_MEAN}", target.per_token,
        f"our beta times {_OWN_MEAN}; {_FIRST_ORDER}",
    )  # fmt: skip
    yield Setting(
        "verl GRPO, KL in the loss, scaled by group (the default)",
        {"algorithm.norm_adv_by_std_in_grpo": True, "actor_rollout_ref.actor.use_kl_loss": True},
        None, False, f"actor/kl_loss, {_TOKEN_MEAN}", target.per_token,
        _no_number(target, "kl_loss_coef"),
    )  # fmt: skip


def openrlhf(target: Target) -> Iterator[Setting]:
    """OpenRLHF with the KL in the reward, and in the loss.

    Notes
    -----
    In the reward (``openrlhf/trainer/ppo_utils/experience_maker.py``, ``compute_advantages_and_returns``; ``models/utils.py``,
    ``compute_reward``): the score is centred or scaled by its group first, then ``-init_coef * k1`` is added to every token
    and returns to go are summed. So ``rloo`` (leave-one-out), ``reinforce`` and ``gae`` have c = our beta; ``dr_grpo`` and
    ``reinforce_baseline`` centre the score, not the KL, by a mean that contains the completion: ``c = beta (1 - 1/G)``, and
    the tilt is exact still; ``group_norm`` divides the score alone by its group's deviation: no single number. Scores are
    clipped to ``reward.clip_range``, -10 to 10 by default.

    In the loss (``openrlhf/trainer/ray/ppo_actor.py``, ``training_step``): ``init_coef * aggregate_loss(kl)``, a mean over tokens
    as the policy's own loss is; k2, or any estimator with ``--algo.kl.unbiased_gradient``, has the gradient ``k1_t g_t``; k1
    without it does not pull.
    """
    plain = target.beta * target.own_mean
    size = {"--rollout.n_samples_per_prompt": target.group}
    logs = "kl, mean within completions, about the budget over their tokens"
    older = "up to 0.10.0 the options are --init_kl_coef and --kl_estimator"
    yield Setting(
        "OpenRLHF rloo, reinforce or gae, KL in the reward",
        {"--algo.kl.init_coef": typed(target.beta), "--algo.kl.estimator": "k1"},
        target.beta, True, logs, target.per_token,
        f"init_coef multiplies k1 inside the reward of every token, so it is our beta; {older}",
    )  # fmt: skip
    yield Setting(
        "OpenRLHF dr_grpo or reinforce_baseline, KL in the reward",
        {"--algo.kl.init_coef": typed(plain), "--algo.kl.estimator": "k1", **size},
        plain, True, logs, target.per_token,
        f"our beta times {_OWN_MEAN}, and only the score is centred by it",
    )  # fmt: skip
    yield Setting(
        "OpenRLHF dr_grpo, KL in the loss",
        {
            "--algo.advantage.estimator": "dr_grpo",
            "--algo.kl.use_loss": True,
            "--algo.kl.estimator": "k2",
            "--algo.kl.init_coef": typed(plain),
            **size,
        },
        plain, False, f"kl, {_TOKEN_MEAN}", target.per_token,
        f"our beta times {_OWN_MEAN}; {_FIRST_ORDER}; k1 in the loss would not pull at all",
    )  # fmt: skip
    yield Setting(
        "OpenRLHF group_norm",
        {"--algo.advantage.estimator": "group_norm"},
        None, False, logs, target.per_token,
        _no_number(target, "--algo.kl.init_coef"),
    )  # fmt: skip


def _no_number(target: Target, name: str) -> str:
    return (
        "no single number, it differs by prompt: a prompt's own beta is the coefficient times the spread of its rewards, "
        f"over 1 - 1/G. {name} of about {shown(target.group_scaled)} spends {shown(target.kl)} nats on every prompt to "
        "second order (large groups); skewed rewards are far from that"
    )
