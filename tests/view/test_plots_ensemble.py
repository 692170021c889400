"""Pictures of ensembles: what is drawn where few samples have gold."""

import numpy as np
import pytest

import klimit

pytestmark = pytest.mark.extras("matplotlib")


def test_few_labels_draw_aggregates_as_far_as_trusted_and_no_limit_of_gold():
    rng = np.random.default_rng(0)
    gold, shared = rng.normal(size=(2, 40, 32))
    members = {f"rm{i}": gold + 0.6 * shared + 0.8 * rng.normal(size=gold.shape) for i in range(2)}
    gold[:, 6:] = np.nan
    found = klimit.ensemble({**members, "gold": gold}, gold="gold", penalty=0.5)
    from matplotlib.figure import Figure

    ax = found.plot(Figure().subplots())
    labels = {line.get_label() for line in ax.get_lines()}
    assert set(found.aggregates) <= labels
    assert not any("any method" in label for label in labels)
    ends = [line.get_xdata()[-1] for line in ax.get_lines() if line.get_label() in found.aggregates]
    assert max(ends) <= found.trusted_kl * (1 + 1e-9)
    assert "KL" in ax.get_xlabel()
