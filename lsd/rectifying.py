"""A quadrilateral of a picture, cut out and made a rectangle: a sheet as if seen from above."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.floating]


def rectified(image: Image.Image, corners: Array) -> Image.Image:
    """What lies inside, upright, each side as long as the longer of two opposite ones.

    Args:
        corners: [4, 2], clockwise from the upper left, in pixels from the picture's border.
    """
    corners = corners.astype(float)
    sides = np.hypot(*(np.roll(corners, -1, axis=0) - corners).T)
    width, height = (max(1, round(float(side))) for side in np.maximum(sides[:2], sides[2:]))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    coefficients = homography(target, corners).ravel()[:8]
    return image.transform(
        (width, height),
        Image.Transform.PERSPECTIVE,
        tuple(coefficients),
        Image.Resampling.BICUBIC,
    )


def homography(source: Array, target: Array) -> NDArray[np.float64]:
    """The projective map [3, 3], its last number 1, that takes four points [4, 2] to four others.

    From x' (g x + h y + 1) = a x + b y + c and the same of y', eight linear equations.
    """
    rows = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    return np.append(np.linalg.solve(np.array(rows), target.ravel()), 1).reshape(3, 3)
