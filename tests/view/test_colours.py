"""The colours of plots and report: seen on their paper, and told apart with any colour vision."""

import itertools

import numpy as np
import pytest

from klimit.view.colours import DARK, LIGHT

# Machado, Oliveira and Fernandes 2009, table 1, severity 1: linear RGB as seen without one cone.
VISION = {
    "all cones": np.eye(3),
    "no long cones": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                      [-0.003882, -0.048116, 1.051998]],
    "no middle cones": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                        [-0.011820, 0.042940, 0.968881]],
    "no short cones": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                       [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
LMS = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
       [0.0883024619, 0.2817188376, 0.6299787005]]  # fmt: skip
OKLAB = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
         [0.0259040371, 0.7827717662, -0.8086757660]]  # fmt: skip


def linear(colour):
    value = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """WCAG 2: 1 for the same, 21 for black on white."""
    dark, bright = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (bright + 0.05) / (dark + 0.05)


def oklab(colour, vision):
    seen = np.clip(np.array(vision) @ linear(colour), 0, 1)
    return np.array(OKLAB) @ np.cbrt(np.array(LMS) @ seen)


def marks(palette):
    return [palette.limit, palette.best_of_n, *palette.policies]


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_marks_and_text_stand_out_from_the_paper(palette):
    assert min(contrast(colour, palette.paper) for colour in marks(palette)) >= 3
    assert min(contrast(colour, palette.paper) for colour in (palette.ink, palette.quiet)) >= 4.5


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_marks_stay_apart_with_any_colour_vision(palette, vision):
    seen = [oklab(colour, VISION[vision]) for colour in marks(palette)]
    apart = [100 * np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)]
    assert min(apart) >= 11  # 2 is just noticed side by side
