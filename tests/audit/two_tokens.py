"""Two models of two binary tokens, and 100 samples in their exact proportions."""

import numpy as np

import klimit

FIRST = np.array([[0.9, 0.1], [0.5, 0.5]])  # models x first token
SECOND = np.array([[[0.8, 0.2], [0.1, 0.9]], [[0.3, 0.7], [0.6, 0.4]]])  # models x first x second
JOINT = FIRST[:, :, None] * SECOND
KL = float((JOINT[0] * np.log(JOINT[0] / JOINT[1])).sum())


def _kl(p, q):
    return float((p * np.log(p / q)).sum())


RAO_BLACKWELL = _kl(FIRST[0], FIRST[1]) + np.array(
    [_kl(SECOND[0, i], SECOND[1, i]) for i in (0, 1)]
)


def rows(pairs):
    """Columns of samples, given the (first, second) token of each."""
    one, two = np.asarray(pairs).T
    return {
        "logprob": np.log(JOINT[0, one, two]),
        "ref_logprob": np.log(JOINT[1, one, two]),
        "kl_rb": RAO_BLACKWELL[one],
    }


def draw(rng, size):
    """Columns of samples of model 1."""
    flat = rng.choice(4, size=size, p=JOINT[0].ravel())
    return rows(np.stack([flat // 2, flat % 2], axis=1))


def exact_hundred():
    """Columns of 100 samples in which every pair is as frequent as it is likely."""
    counts = np.rint(100 * JOINT[0]).astype(int)
    return rows([pair for pair in np.ndindex(2, 2) for _ in range(counts[pair])])


def rollouts(columns, *, prompts=1, **more):
    """Rollouts of one reward, samples dealt to prompts in turn."""
    size = len(next(iter(columns.values())))
    plain = {name: np.asarray(values).tolist() for name, values in columns.items()}
    base = {"prompt_id": [f"p{i % prompts}" for i in range(size)], "rm": [0.0] * size}
    settings = {"temperature": [1.0] * size, "top_p": [1.0] * size}
    return klimit.read({**base, **settings, **plain, **more}, reward="rm")
