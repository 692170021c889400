"""The losses of trainers, on groups of completions of one prompt; shapes as in `tiny_policy`.

Clipping is left out: where policy and sampler agree it is not active. Batch-wide numbers (tokens in
a batch, the spread of its rewards) are constants here, as they are in a large batch.
"""

import numpy as np


def k1(new, ref):
    return new - ref


def k2(new, ref):
    return (new - ref) ** 2 / 2


def k3(new, ref):
    return np.exp(ref - new) - (ref - new) - 1


def own_mean(reward, spread=None):
    """GRPO's advantage: the group's mean contains the completion itself."""
    centred = reward - reward.mean(axis=1, keepdims=True)
    return centred if spread is None else centred / spread


def leave_one_out(reward):
    size = reward.shape[1]
    return reward - (reward.sum(axis=1, keepdims=True) - reward) / (size - 1)


def group_spread(reward, floor=1e-6):
    return reward.std(axis=1, ddof=1, keepdims=True) + floor


def over_tokens(values, mask):
    """Every token weighs the same (dapo, bnpo, dr_grpo; token-mean)."""
    return (values * mask).sum(axis=(1, 2))


def within_completions(values, mask):
    """A mean within each completion first (loss_type="grpo"; seq-mean-token-mean)."""
    return ((values * mask).sum(axis=2) / mask.sum(axis=2)).mean(axis=1)


def trl_rloo(world, beta, *, normalize=False):
    """trl/trainer/rloo_trainer.py: _generate_and_score_completions, _compute_loss."""

    def loss(new, old, ref, rows):
        kl = k1(old, ref).sum(axis=2)
        advantage = leave_one_out(world.reward[rows] - beta * kl)
        if normalize:
            spread = advantage.std(axis=1, ddof=1, keepdims=True)
            advantage = (advantage - advantage.mean(axis=1, keepdims=True)) / (spread + 1e-4)
        return -(np.exp((new - old).sum(axis=2)) * advantage).mean(axis=1)

    return loss


def trl_grpo(world, beta, *, spread=None, bias_correction=True, aggregate=over_tokens):
    """trl/trainer/grpo_trainer.py: _compute_loss; `spread`: None, a number or "group"."""

    def loss(new, old, ref, rows):
        reward, ratio = world.reward[rows], np.exp(new - old)
        scale = group_spread(reward, 1e-4) if spread == "group" else spread
        kl = k3(new, ref) * (ratio if bias_correction else 1.0)
        per_token = -ratio * own_mean(reward, scale)[..., None] + beta * kl
        return aggregate(per_token, world.mask[rows])

    return loss


def trl_ppo(world, kl_coef, logits, *, penalty=k1, lam=0.95):
    """trl/experimental/ppo/ppo_trainer.py (1.12): train, with an exact value function."""
    old, ref = world.token_logps(logits), world.token_logps(world.logits)
    steps = -kl_coef * penalty(old, ref) * world.mask
    last = world.mask.sum(axis=1).astype(int) - 1
    steps[np.arange(len(last)), last] += world.reward
    to_go = steps[:, ::-1].cumsum(axis=1)[:, ::-1]
    chance = world.probabilities(logits)
    values = np.zeros(steps.shape)
    for prefix in range(len(world.logits)):
        at = (world.prefix == prefix) & (world.mask > 0)
        weight = np.broadcast_to(chance[:, None], at.shape)[at]
        values[at] = weight @ to_go[at] / weight.sum()
    nexts = np.concatenate([values[:, 1:], np.zeros((len(values), 1))], axis=1)
    delta = (steps + nexts - values) * world.mask
    advantage = np.zeros(steps.shape)
    running = np.zeros(len(steps))
    for at in range(steps.shape[1])[::-1]:
        running = delta[:, at] + lam * running
        advantage[:, at] = running
    advantage = (advantage - 0.3) / 1.7  # whitened: a shift and a scale of the whole batch

    def loss(new, old, ref, rows):
        return over_tokens(-np.exp(new - old) * advantage[rows], world.mask[rows])

    return loss


def verl_kl_in_reward(world, kl_coef, *, scaled, aggregate=over_tokens):
    """verl/trainer/ppo: apply_kl_penalty, compute_grpo_outcome_advantage, agg_loss."""

    def loss(new, old, ref, rows):
        scores = world.reward[rows] - kl_coef * k1(old, ref).sum(axis=2)
        advantage = own_mean(scores, group_spread(scores) if scaled else None)
        per_token = -np.exp(new - old) * advantage[..., None]
        return aggregate(per_token, world.mask[rows])

    return loss


def verl_kl_in_loss(world, kl_loss_coef, *, scaled=False, kl=k2, aggregate=over_tokens):
    """verl/workers/utils/losses.py: ppo_loss; "k3+" has the gradient of k2."""

    def loss(new, old, ref, rows):
        reward = world.reward[rows]
        advantage = own_mean(reward, group_spread(reward) if scaled else None)
        mask = world.mask[rows]
        policy = aggregate(-np.exp(new - old) * advantage[..., None], mask)
        return policy + kl_loss_coef * aggregate(kl(new, ref), mask)

    return loss


def openrlhf_kl_in_reward(world, init_coef, *, estimator):
    """openrlhf/trainer/ppo_utils/experience_maker.py: compute_advantages_and_returns."""

    def loss(new, old, ref, rows):
        reward, mask = world.reward[rows], world.mask[rows]
        centred = {
            "rloo": leave_one_out(reward),
            "dr_grpo": own_mean(reward),
            "reinforce": reward,
        }[estimator]
        steps = -init_coef * k1(old, ref) * mask
        to_go = steps[..., ::-1].cumsum(axis=2)[..., ::-1] + centred[..., None]
        if estimator == "reinforce":
            to_go = (to_go - 0.2) / 1.3  # whitened over the batch
        return over_tokens(-np.exp(new - old) * to_go, mask)

    return loss


def openrlhf_kl_in_loss(world, init_coef, *, kl=k2):
    """openrlhf/trainer/ray/ppo_actor.py: training_step, with estimator dr_grpo."""
    return verl_kl_in_loss(world, init_coef, kl=kl)
