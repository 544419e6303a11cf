"""The head asset: one FLAME-shaped linear-blend-skinning model in one npz file."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import AssetError
from occlufacediff.files import written_aside

Float = NDArray[np.float32]
Int = NDArray[np.int64]

#: Names of the joints, by the number of joints. The asset file holds no joint names.
JOINT_LAYOUTS: dict[int, tuple[str, ...]] = {
    2: ("root", "jaw"),
    3: ("root", "neck", "jaw"),
    5: ("root", "neck", "jaw", "left_eye", "right_eye"),
}
#: Largest magnitude of any entry; lengths are in metres.
LARGEST_M = 1000.0
REGION_PREFIX = "region_"
DIGEST = "digest"

_FLOATS = ("v_template", "shapedirs", "expdirs", "posedirs", "J_regressor", "weights", "lmk_b_coords")
_INTS = ("faces", "parents", "lmk_face_idx", "landmark_indices")
_OPTIONAL = ("posedirs", "vertex_colors")
# Zip entries need a date; the earliest that zip knows keeps equal assets equal byte for byte.
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class HeadAsset:
    """Arrays of a head model; head frame: metres, x to the picture's right, y up, z towards the camera.

    Skinning: ``v = LBS(v_template + shapedirs @ shape + expdirs @ exp (+ posedirs @ vec(R - I)), weights)``.

    `digest` identifies the head model: files that hold its coefficients carry it, and another head is refused for them.

    Attributes:
        name: which model this is, for example ``open`` or ``flame2020``.
        v_template: (V, 3) neutral mean head.
        faces: (F, 3) vertex indices of triangles.
        shapedirs: (V, 3, S) identity basis, metres for one unit of a coefficient.
        expdirs: (V, 3, E) expression basis, metres for one unit of a coefficient.
        J_regressor: (J, V) joints from the vertices after identity and expression, as FLAME has it.
        parents: (J,) parent of each joint, -1 for the root; a parent comes before its children.
        weights: (V, J) skinning weights, rows sum to 1.
        lmk_face_idx: (L,) triangle of each landmark.
        lmk_b_coords: (L, 3) barycentric weights in that triangle.
        landmark_indices: (L,) which of the 468 face mesh points each landmark is.
        expression_names: E names of the expression coefficients.
        regions: vertex lists by name, such as ``face``, ``lips``, ``eye_region``, ``nose``, ``forehead``.
        posedirs: (V, 3, 9 (J - 1)) pose correctives, or None.
        vertex_colors: (V, 3) uint8 neutral appearance, or None.
        n_principal: the first ``n_principal`` identity coefficients describe sampled faces; the others only refine a
            fit. -1: all S.
    """

    name: str
    v_template: Float
    faces: Int
    shapedirs: Float
    expdirs: Float
    J_regressor: Float
    parents: Int
    weights: Float
    lmk_face_idx: Int
    lmk_b_coords: Float
    landmark_indices: Int
    expression_names: tuple[str, ...]
    regions: dict[str, Int] = field(default_factory=dict)
    posedirs: Float | None = None
    vertex_colors: NDArray[np.uint8] | None = None
    n_principal: int = -1
    #: Not an argument, so that `dataclasses.replace` drops it together with the arrays it identified.
    _recipe: str | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        for key in _FLOATS + _INTS:
            value = getattr(self, key)
            if value is not None:
                kind = np.float32 if key in _FLOATS else np.int64
                object.__setattr__(self, key, np.ascontiguousarray(value, dtype=kind))
        object.__setattr__(self, "expression_names", tuple(str(name) for name in self.expression_names))
        regions = {name: np.asarray(ids, dtype=np.int64) for name, ids in sorted(self.regions.items())}
        object.__setattr__(self, "regions", regions)
        if self.n_principal == -1:
            object.__setattr__(self, "n_principal", self.n_shape)
        problem = self._problem()
        if problem:
            raise AssetError(f"head model {self.name!r}: {problem}")

    @property
    def n_vertices(self) -> int:
        """Number of vertices V."""
        return int(self.v_template.shape[0])

    @property
    def n_shape(self) -> int:
        """Number of identity coefficients S."""
        return int(self.shapedirs.shape[2])

    @property
    def n_exp(self) -> int:
        """Number of expression coefficients E."""
        return int(self.expdirs.shape[2])

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the J joints, in the order of ``parents``."""
        return JOINT_LAYOUTS[len(self.parents)]

    @property
    def triangles_of_landmarks(self) -> Int:
        """(L, 3) vertex indices of the triangle that carries each landmark."""
        return self.faces[self.lmk_face_idx]

    @property
    def digest(self) -> str:
        """64 hex digits that identify the head model: those given to `with_digest`, else those of its arrays."""
        return self._recipe or self._arrays_digest

    def with_digest(self, digest: str) -> HeadAsset:
        """The same head with a digest of its recipe, for arrays whose last bits depend on the machine.

        Raises:
            AssetError: ``digest`` is not 64 hex digits.
        """
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise AssetError(f"head model {self.name!r}: entry 'digest' is {digest!r}, needs 64 hex digits")
        identified = replace(self)
        object.__setattr__(identified, "_recipe", digest)
        return identified

    @cached_property
    def _arrays_digest(self) -> str:
        """SHA-256 of all that determines motion and landmarks; name, regions and colours are left out."""
        digest = hashlib.sha256(repr((self.expression_names, self.n_principal)).encode())
        for key in sorted(_FLOATS + _INTS):
            value = getattr(self, key)
            if value is not None:
                digest.update(f"{key}{value.shape}".encode())
                digest.update(value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes())
        return digest.hexdigest()

    def save(self, path: Path | str) -> None:
        """Write the asset as a compressed npz with its digest; equal assets give equal bytes."""
        entries: dict[str, Any] = {key: getattr(self, key) for key in _FLOATS + _INTS}
        entries |= {
            "name": np.asarray(self.name),
            DIGEST: np.asarray(self.digest),
            "expression_names": np.asarray(self.expression_names, dtype=np.str_),
            "vertex_colors": self.vertex_colors,
            "n_principal": np.asarray(self.n_principal, dtype=np.int64),
        }
        entries |= {REGION_PREFIX + name: ids for name, ids in self.regions.items()}
        with written_aside(path) as aside, zipfile.ZipFile(aside, "w") as archive:
            for key in sorted(entries):
                if entries[key] is None:
                    continue
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, np.asarray(entries[key]), allow_pickle=False)
                info = zipfile.ZipInfo(f"{key}.npy", date_time=_ZIP_DATE)
                archive.writestr(info, buffer.getvalue(), compress_type=zipfile.ZIP_DEFLATED, compresslevel=6)

    @classmethod
    def load(cls, path: Path | str) -> HeadAsset:
        """Read an asset written by `save`; a file without a digest gets the one of its arrays.

        Raises:
            AssetError: the file is missing or no such npz, or an entry is missing or of a wrong shape.
        """
        path = Path(path)
        if not path.is_file():
            raise AssetError(f"head model {path}: no such file; build it with `snakemake {path}` or name another one")
        try:
            with np.load(path, allow_pickle=False) as file:
                entries = {key: file[key] for key in file.files}
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise AssetError(f"head model {path}: not a readable npz of plain arrays ({error})") from error
        needed = [key for key in (*_FLOATS, *_INTS, "name", "expression_names") if key not in _OPTIONAL]
        for key in needed:
            if key not in entries:
                raise AssetError(f"head model {path}: entry {key!r} is missing (needs {', '.join(needed)})")
        regions = {key.removeprefix(REGION_PREFIX): entries[key] for key in entries if key.startswith(REGION_PREFIX)}
        arrays: dict[str, Any] = {key: entries.get(key) for key in _FLOATS + _INTS}
        try:
            asset = cls(
                name=str(entries["name"]),
                expression_names=tuple(str(name) for name in np.atleast_1d(entries["expression_names"])),
                regions=regions,
                vertex_colors=entries.get("vertex_colors"),
                n_principal=int(entries.get("n_principal", -1)),
                **arrays,
            )
            return asset.with_digest(str(entries[DIGEST])) if DIGEST in entries else asset
        except (AssetError, ValueError) as error:
            raise AssetError(f"{path}: {error}") from error

    def _problem(self) -> str | None:
        """Name the first entry whose shape or indices are wrong, or None."""
        if self.v_template.ndim != 2 or self.v_template.shape[1] != 3:
            return f"entry 'v_template' has shape {self.v_template.shape}, needs (V, 3)"
        vertices, joints, landmarks = len(self.v_template), len(self.parents), len(self.lmk_face_idx)
        if joints not in JOINT_LAYOUTS:
            return f"entry 'parents' has {joints} joints, needs one of {sorted(JOINT_LAYOUTS)}"
        shapes: dict[str, tuple[int, ...]] = {
            "faces": (-1, 3),
            "shapedirs": (vertices, 3, -1),
            "expdirs": (vertices, 3, len(self.expression_names)),
            "posedirs": (vertices, 3, 9 * (joints - 1)),
            "J_regressor": (joints, vertices),
            "parents": (joints,),
            "weights": (vertices, joints),
            "lmk_face_idx": (landmarks,),
            "lmk_b_coords": (landmarks, 3),
            "landmark_indices": (landmarks,),
            "vertex_colors": (vertices, 3),
        }
        for key, shape in shapes.items():
            value = getattr(self, key)
            if value is None and key in _OPTIONAL:
                continue
            if value.ndim != len(shape) or any(
                want not in (-1, got) for want, got in zip(shape, value.shape, strict=True)
            ):
                want = ", ".join("any" if n < 0 else str(n) for n in shape)
                return f"entry {key!r} has shape {value.shape}, needs ({want})"
        limits = {"faces": vertices, "lmk_face_idx": len(self.faces), "landmark_indices": 468}
        indices = {key: (getattr(self, key), limit) for key, limit in limits.items()}
        indices |= {REGION_PREFIX + name: (ids, vertices) for name, ids in self.regions.items()}
        for key, (value, limit) in indices.items():
            if value.size and (value.min() < 0 or value.max() >= limit):
                return f"entry {key!r} has indices {value.min()}..{value.max()}, needs 0..{limit - 1}"
        if self.parents[0] != -1 or np.any(self.parents[1:] < 0) or np.any(self.parents >= np.arange(joints)):
            return f"entry 'parents' is {self.parents.tolist()}, needs -1 first and each parent before its children"
        if not 0 < self.n_principal <= self.n_shape:
            return f"entry 'n_principal' is {self.n_principal}, needs 1 to {self.n_shape}"
        for key in _FLOATS:
            value = getattr(self, key)
            # NaN fails this comparison too.
            wrong = [] if value is None else value[~(np.abs(value) <= LARGEST_M)].tolist()
            if wrong:
                return f"entry {key!r} holds {wrong[0]:g}, needs finite values up to {LARGEST_M:g} (metres)"
        return None
