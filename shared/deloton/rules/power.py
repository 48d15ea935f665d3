"""CORE: the power to expect of a bike, and from when on its power sensor is held to be broken.

Power is a pure function of the bike's resistance and the cadence.
"""

from collections.abc import Sequence
from typing import Any, Final

# What bikes have shown. The formula was fitted to that and says nothing beyond it.
HIGHEST_RESISTANCE: Final = 170
FASTEST_CADENCE_RPM: Final = 219

# One row a power of resistance / 100, from 0 on; one column a power of cadence / 100, from 1 on.
# Source: our own fit to the feed of the first bike, which it meets within 1.9 W.
_COEFFICIENTS: Final = (
    (4.2159538, 10.054831, 54.667494, -30.30654),
    (12.123681, 123.47741, -363.07596, 171.52276),
    (-34.516007, 116.70946, 269.42293, -155.4625),
    (22.886962, 49.140188, -129.27113, 54.342042),
)

# More than the fit's error and any rounding.
DEVIATION_WATTS: Final = 5.0
# More than that beside what resistance and cadence give cannot have come from the pedals: sixty
# times what counts as a deviation. Such a value is kept, but is nobody's best.
DENIED_WATTS: Final = 300.0
# A sensor that deviates by more for so long, without a break, is probably broken.
FAULTY_AFTER_S: Final = 30


def fitted_power_watts(resistance: Any, cadence_rpm: Any) -> Any:  # noqa: ANN401 - see below
    """The power, of whatever can be added, multiplied and divided.

    Numbers, NumPy arrays and SQL columns alike: nobody else states the formula. Below 0, as it
    is where next to no resistance meets a very high cadence, it means 0.
    """
    u, v = resistance / 100.0, cadence_rpm / 100.0
    by_cadence = [_polynomial(column, u) for column in zip(*_COEFFICIENTS, strict=True)]
    return _polynomial(by_cadence, v) * v


def _polynomial(coefficients: Sequence[Any], x: Any) -> Any:  # noqa: ANN401
    """Horner's scheme; the first coefficient stands alone."""
    *others, total = coefficients
    for coefficient in reversed(others):
        total = total * x + coefficient
    return total
