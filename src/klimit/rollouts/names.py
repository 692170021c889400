"""What columns are called in the dumps that people have, and which are never rewards.

Everything that klimit guesses from a name is in this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


PROMPT_IDS = _listed(
    """
    prompt_id prompt_idx prompt_index prompt_key prompt_hash prompt_uid question_id question_idx
    qid query_id problem_id problem_idx group_id group_idx group_index group_key group task_id
    example_id example_idx instance_id item_id doc_id document_id context_id instruction_id
    post_id conversation_id
    """
)
"""Columns that say which samples share a prompt."""

PROMPT_TEXTS = _listed(
    """
    prompt prompt_text question query instruction problem input context src document article
    post input_prompt
    """
)
"""Columns that hold the prompt itself."""

CHATS = ("messages", "conversation")
"""Columns that hold the prompt where nothing else does; often the completion as well."""

TEMPLATES = _listed(
    """
    prompt_type prompt_template template template_name prompt_style prompt_format num_fewshot
    n_shot num_shots
    """
)
"""Columns that say how a prompt's text was put to the model: each way is a prompt of its own."""

PARTS = _listed(
    """
    system system_prompt system_message system_instruction passage persona options image image_id
    image_path image_url target ground_truth gt gts reference_answer correct_answer gold_answer
    expected_answer expected_output
    """
)
"""Columns that hold what belongs to a prompt: another one makes another prompt."""

WEAK_IDS = _listed("id uid custom_id key idx index doc example item")
"""Columns that may number prompts as well as rows: keys only where they repeat."""

ANSWERS = _listed(
    """
    completion response output generation generated_text model_completion completion_text
    response_text output_response
    """
)
"""Columns that hold what the model wrote, whatever stands beside them."""

CANONICAL = {
    "completion": (*ANSWERS, "text", "answer", "summary", "sample", "reply"),
    "logprob": _listed(
        """
        logprob log_prob logp logprob_policy policy_logprob sum_logprob sequence_logprob
        seq_logprob cumulative_logprob completion_logprob token_logprobs policy_logprobs
        completion_logprobs response_logprobs
        """
    ),
    "ref_logprob": _listed(
        """
        ref_logprob logprob_ref ref_log_prob ref_logp reference_logprob logprob_base
        base_logprob ref_token_logprobs reference_logprobs
        """
    ),
    "kl_rb": ("kl_rb", "kl_rao_blackwell", "rao_blackwell_kl"),
    "tokens": _listed(
        """
        tokens n_tokens num_tokens token_count completion_tokens output_tokens num_output_tokens
        response_tokens completion_length response_length
        """
    ),
    "step": _listed(
        """
        step global_step training_step train_step trainer_step checkpoint_step ckpt_step iteration
        iter trainer_global_step update policy_version weight_version
        """
    ),
    "policy": _listed(
        """
        policy policy_name checkpoint model model_name model_id model_type model_path generator
        method algorithm algo arm
        """
    ),
}
"""The canonical names beside the prompt's, and how others spell them, best first.

Log-probabilities and exact KLs of the next token (`kl_rb`) may be lists, one entry per token, which are
summed."""

LABELS = _listed("label name source kind type mode phase group")
"""Columns of text that say something of policies now and then."""

EPOCHS = ("epoch",)
"""Passes of training, or numbers of samples."""

COUNTS = ("checkpoint", "ckpt", *EPOCHS)
"""Steps where they are numbers and nothing else is the step."""

SAMPLES = _listed("sample_id sample_idx sample_index sample")
"""Columns that number the samples of a prompt."""

_POLICIES = words(
    """
    run experiment exp variant condition setting config stage adapter lora model checkpoint ckpt
    policy version engine agent revision llm lm author sampler
    """
)
_TEXTS = words("completion response output answer text generation reward judge grader metric")
_VERDICTS = _TEXTS | words(
    "winner win preferred preference prefers verdict better best chosen choice vote pick judged judgement"
)
_SIDE = re.compile(
    r"((?:\w+_)?is_?|(?:(?:sampled|drawn|generated)_)?from_)?(?:the_)?(?:(base|ref|reference|initial"
    r"|pretrained|untrained)|(policy|trained|(?:fine_?)?tuned)|greedy|human|sft|rl|rlhf|rlvr|ppo|grpo|dpo)"
    r"(?:_model|_policy)?"
)

METHODS = words("ppo grpo dpo rloo rl rlhf rlvr kto orpo ipo simpo reinforce gspo dapo")
SIDES = METHODS | words("baseline policy tuned finetuned trained before after pre")
"""Words in the names of files that make them those of several policies."""

SIZES = words("tiny mini small medium large xl xxl")
"""Sizes of models, one of which may be called base."""

DATASETS = _listed("dataset data_source env_name task task_name benchmark")
"""Columns that say which collection a prompt is from."""

SETS = _listed(
    "split lang language locale subset subject category domain topic dataset_name suite env"
)
"""Columns of which each value may make another prompt of an id."""

SCORES = _listed(
    """
    metric metric_name judge judge_name judge_model scorer grader evaluator criterion aspect
    dimension reward_name reward_type reward_model rm_name annotator annotator_id rater rater_id
    labeler labeler_id labeller reviewer reviewer_id rated_by scored_by graded_by judged_by turn
    turn_id turn_idx turn_index turn_number
    """
)
"""Columns that say what the scores of a table are of that has a row for each: judges, turns."""

METADATA = {
    "temperature": ("temperature", "sampling_temperature"),
    "top_p": ("top_p",),
    "top_k": ("top_k",),
    "max_tokens": ("max_tokens", "max_new_tokens", "max_completion_length"),
}
"""How the samples were drawn: taken from columns of these names that hold one value."""

NOTES = _listed(
    """
    metadata meta info extra extra_info config params settings args request run generation_config
    generation_params sampling_params gen_kwargs response completion
    """
)
"""Columns of records that may say who drew a sample, and how."""

TRAINER_LOG = _listed("loss learning_rate grad_norm lr reward_std reward_mean")
"""Columns of what trainers log per step: means over samples, not samples."""

REWARDS = ("reward", "rewards", "score", "scores")
"""Names that mean nothing but a reward; a struct of this name holds one reward per field."""


# One of these words in a name makes the column no reward ...
_NEVER = words(
    """
    step steps epoch iteration iter tokens token length len lengths advantage advantages logprob
    logprobs logp logps entropy kl id ids uid idx index indices seed rank temperature temp lr time
    timestamp date created elapsed duration latency seconds count position turn gts label labels
    finished truncated eos terminated done stop stopped difficulty level fold split loss mask
    weight weights cost price char chars words usage ppl perplexity unnamed std rollout worker
    shard version adversarial tstamp turns retries beta coef alpha round trial batch attempt attempts
    nll greedy shots nwords ntokens nchars wordcount ttft gpu selected
    """
)
# ... unless one of REWARDS stands beside it ("reward_len" of TRL's own examples is a reward).
_EVEN_SO = words("id ids idx index std step advantage advantages")
_PAIRS = _listed(
    """
    log_prob log_probs log_likelihood best_of top_p top_k n_samples num_samples sample_number max_new
    min_p num_beams num_return do_sample created_at learning_rate grad_norm generation_ms scoring_ms
    total_ms
    """
)
_ALONE = words("n k m sample samples row number run") | {""}
NUMBERS = words("id idx index uid uuid hash")
"""Words of columns that number something."""
_SAMPLES = ("sample", "sample_a", "sample_b")  # as tables of labels have them
DRAWS = words("sample attempt try trial draw rollout generation completion response answer")
"""What a column per sample is called, a number after it."""
_ANSWERS_IN_NUMBERS = words(
    """
    target reference truth ground_truth gt solution expected expected_answer gold_answer final_answer
    model_answer extracted_answer parsed_answer predicted predicted_answer prediction pred
    """
)


def plain(name: str) -> str:
    """A column's name in snake case, for comparison only.

    Examples
    --------
    >>> plain("promptId"), plain("Rouge-L"), plain("rewards/vader/mean")
    ('prompt_id', 'rouge_l', 'rewards_vader_mean')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[\W_]+", "_", spaced.lower()).strip("_")


def never_reward(name: str) -> bool:
    """Whether a column of this name cannot be a reward, whatever it holds.

    Examples
    --------
    >>> [never_reward(name) for name in ("rougeL", "n_tokens", "advantage", "reward_len")]
    [False, True, True, False]
    """
    low = plain(name)
    words = set(low.split("_"))
    if words.intersection(REWARDS):
        return bool(words & _EVEN_SO)
    known = (*CANONICAL.values(), *METADATA.values(), PROMPT_IDS, PROMPT_TEXTS, WEAK_IDS, TEMPLATES)
    return (
        any(low in spellings for spellings in known)
        or low in _ALONE | _ANSWERS_IN_NUMBERS
        or bool(words & _NEVER)
        or any(f"_{pair}_" in f"_{low}_" for pair in _PAIRS)
        or bool(sides(name))
    )


def may_be_policy(name: str) -> bool:
    """Whether a column of text of this name may tell policies apart.

    Examples
    --------
    >>> [may_be_policy(name) for name in ("run_name", "model version", "model_output", "label")]
    [True, True, False, True]
    """
    said = set(plain(name).split("_"))
    return plain(name) in LABELS or bool(said & _POLICIES and not said & _TEXTS)


def is_verdict(name: str) -> bool:
    """Whether a text of this name may call the better of two answers, rather than who wrote one."""
    return not _VERDICTS.isdisjoint(plain(name).split("_"))


def sides(name: str, *, boolean: bool = False) -> tuple[str, str] | None:
    """What true and false of a column say of a sample's policy, by its name.

    `is_base` and `trained` do in any column, `base` in one that is `boolean`.

    Examples
    --------
    >>> sides("is_base"), sides("fromReference"), sides("is_trained"), sides("is_dpo")
    (('base', 'policy'), ('base', 'policy'), ('policy', 'base'), ('is_dpo', 'not is_dpo'))
    >>> sides("is_correct"), sides("base"), sides("base", boolean=True)
    (None, None, ('base', 'policy'))
    """
    found = _SIDE.fullmatch(plain(name))
    asks, base, policy = found.groups() if found else ("", "", "")
    if not asks and not (boolean and (base or policy)) and policy in (None, "", "policy"):
        return None
    if base:
        return "base", "policy"
    if (asks or "").endswith("from_"):
        return None  # the policy's version, say
    return ("policy", "base") if policy else (name, f"not {name}")


def is_key(name: str) -> bool:
    """Whether the name says that a column tells prompts or samples apart, as text does.

    Examples
    --------
    >>> [is_key(name) for name in ("prompt_id", "completionId", "sample", "reward")]
    [True, True, True, False]
    """
    low = plain(name)
    known = low in (*PROMPT_IDS, *PROMPT_TEXTS, *WEAK_IDS, *TEMPLATES, *_SAMPLES)
    return known or bool(NUMBERS & set(low.split("_")))


def may_count_anew(name: str) -> bool:
    """Whether ids of this name may start from 0 again in each step, with other prompts.

    Examples
    --------
    >>> [may_count_anew(name) for name in ("group_id", "promptIdx", "uid", "prompt_id")]
    [True, True, True, False]
    """
    return plain(name) in WEAK_IDS or not {"group", "idx", "index"}.isdisjoint(
        plain(name).split("_")
    )


def names_reward(name: str) -> bool:
    """Whether the name itself says that this is a reward."""
    low = plain(name)
    return low in REWARDS or (
        not never_reward(name) and not set(REWARDS).isdisjoint(low.split("_"))
    )


def spelling(columns: Iterable[str], spellings: tuple[str, ...]) -> list[str]:
    """Those of `columns` that are one of `spellings`, or its plural, best first.

    Examples
    --------
    >>> spelling(["text", "responses", "reward"], CANONICAL["completion"])
    ['responses', 'text']
    """
    place = {word: at for at, word in reversed(list(enumerate(spellings)))}
    place |= {f"{word}s": at for word, at in place.items() if f"{word}s" not in place}
    found = [(place[plain(name)], name) for name in columns if plain(name) in place]
    return [name for _, name in sorted(found, key=lambda pair: pair[0])]


def same_reward(name: str, known: Iterable[str]) -> str | None:
    """The one known reward that `name` may mean: "reward" finds a lone "rewards" or "score".

    Examples
    --------
    >>> same_reward("reward", ["scores", "rouge"]), same_reward("rouge", ["scores"])
    ('scores', None)
    """
    found = [one for one in known if plain(one) in REWARDS]
    return found[0] if plain(name) in REWARDS and len(found) == 1 else None
