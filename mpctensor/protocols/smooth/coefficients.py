"""Fitted coefficients of the smooth functions, as integers that are the same at all parties.

Made by benchmarks/fit_smooth.py; the largest errors stand beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

EXPONENT_BITS, WEIGHT_BITS = 20, 40
RADIX_BITS = 4  # the decays hold for 1 <= t < 16


@dataclass(frozen=True)
class Decays:
    """f(t) = constant + sum of weight * exp(-exponent * (t - 1)).

    constant, weights: at scale 2^40. exponents: at scale 2^20.
    """

    constant: int
    exponents: tuple[int, ...]
    weights: tuple[int, ...]


DECAYS = {
    # 1 / t; largest relative error 2.0e-05 = 2^-15.6
    "reciprocal": Decays(
        29_282_041_585,
        (106_062, 388_372, 957_616, 2_100_642, 4_554_640),
        (174_753_513_478, 287_611_176_900, 330_537_118_270, 227_497_273_829, 49_808_404_442),
    ),
    # 1 / t; largest relative error 2.0e-06 = 2^-18.9
    "fine reciprocal": Decays(
        25_241_021_682,
        (90_546, 322_862, 756_587, 1_532_653, 2_957_569, 5_762_276),
        (
            *(149_927_093_673, 245_185_357_787, 291_256_305_167, 250_093_509_456),
            *(120_425_899_321, 17_380_252_636),
        ),
    ),
    # 1 / sqrt(t); largest relative error 4.9e-06 = 2^-17.6
    "rsqrt": Decays(
        163_769_851_227,
        (74_890, 324_241, 847_648, 1_912_983, 4_229_288),
        (316_400_491_870, 281_398_618_476, 213_356_402_078, 106_450_422_253, 18_130_433_726),
    ),
    # sqrt(t); largest relative error 6.9e-06 = 2^-17.1
    "sqrt": Decays(
        9_776_653_284_240,
        (25_980, 256_457, 880_870, 2_501_558),
        (-7_772_791_612_254, -726_645_927_369, -158_393_124_253, -19_303_343_985),
    ),
    # log(t); largest error 4.0e-06 = 2^-17.9
    "log": Decays(
        4_488_709_996_030,
        (46_241, 261_119, 738_426, 1_726_620, 3_905_284),
        (
            -2_741_673_204_263,
            -1_058_878_041_058,
            -493_356_297_044,
            -172_442_187_338,
            -22_356_032_857,
        ),
    ),
}
