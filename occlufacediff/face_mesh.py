"""Points of MediaPipe's face mesh by name: 468, and 478 with the irises. Left and right are the PERSON'S."""

from __future__ import annotations

from collections.abc import Iterable

#: Number of mesh points without and with the irises (468..472: the person's right iris, 473..477: the left one).
MESH_POINTS = 468
ALL_POINTS = 478
RIGHT_IRIS, LEFT_IRIS = tuple(range(468, 473)), tuple(range(473, 478))

#: Rings of the lips, from the person's right corner over the upper lip to the left corner and back over the lower.
LIPS_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
LIPS_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
LIPS = LIPS_OUTER + LIPS_INNER
#: Opposite points of the upper and lower lip, in pairs (for the mouth-closure metric).
LIP_PAIRS_UPPER = (191, 80, 81, 82, 13, 312, 311, 310, 415, 185, 40, 39, 37, 0, 267, 269, 270, 409, 308, 291)
LIP_PAIRS_LOWER = (95, 88, 178, 87, 14, 317, 402, 318, 324, 146, 91, 181, 84, 17, 314, 405, 321, 375, 78, 61)
#: Centre of the inner lips; their distance is the mouth opening.
INNER_LIP_TOP, INNER_LIP_BOTTOM = 13, 14

RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
#: Outer corners: their distance is the eye span.
EYE_CORNERS = (33, 263)
#: The person's left and right eye: corners, and middle of the upper and lower eyelid.
CORNERS_OF_EYES = ((362, 263), (33, 133))
LIDS_OF_EYES = ((386, 374), (159, 145))
RIGHT_BROW = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107)
LEFT_BROW = (276, 283, 282, 295, 285, 300, 293, 334, 296, 336)
#: Points of eyelids and brows.
EYES_AND_BROWS = RIGHT_EYE + LEFT_EYE + RIGHT_BROW + LEFT_BROW
NOSE = (1, 2, 4, 5, 6, 19, 45, 48, 64, 94, 97, 98, 115, 168, 195, 197, 220, 275, 278, 294, 326, 327, 344, 440)
#: Face contour, from the centre of the forehead, first along the person's left side.
CONTOUR = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip

#: Mesh points for the 68 points of the iBUG convention (chin line, brows, nose, eyes, lips).
IBUG_68 = (
    127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip


def lip_pairs(points: Iterable[int]) -> list[tuple[int, int]]:
    """Positions of the lip pairs in a list of mesh points, such as a head model's landmarks."""
    place = {int(point): number for number, point in enumerate(points)}
    pairs = zip(LIP_PAIRS_UPPER, LIP_PAIRS_LOWER, strict=True)
    return [(place[up], place[down]) for up, down in pairs if up in place and down in place]
