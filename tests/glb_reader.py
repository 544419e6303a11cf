"""Reads .glb files by the specification, without the code that writes them, and computes their vertices."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

TYPES = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    """A file: its JSON ``document`` and the arrays of its accessors."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        magic, version, length = struct.unpack_from("<4sII", data)
        assert (magic, version, length) == (b"glTF", 2, len(data))
        size, kind = struct.unpack_from("<I4s", data, 12)
        assert kind == b"JSON"
        self.document: dict[str, Any] = json.loads(data[20 : 20 + size])
        start = 20 + size
        size, kind = struct.unpack_from("<I4s", data, start)
        assert kind == b"BIN\0"
        self.buffer = data[start + 8 : start + 8 + size]

    def _bytes(self, view: int) -> bytes:
        entry = self.document["bufferViews"][view]
        return self.buffer[entry["byteOffset"] : entry["byteOffset"] + entry["byteLength"]]

    def accessor(self, number: int) -> NDArray[Any]:
        """Array (N, width) of an accessor, sparse or not."""
        entry = self.document["accessors"][number]
        width, dtype = WIDTHS[entry["type"]], np.dtype(TYPES[entry["componentType"]])
        values = np.zeros((entry["count"], width), dtype)
        if "bufferView" in entry:
            values[:] = np.frombuffer(self._bytes(entry["bufferView"]), dtype).reshape(-1, width)
        if "sparse" in entry:
            sparse = entry["sparse"]
            rows = np.frombuffer(
                self._bytes(sparse["indices"]["bufferView"]), TYPES[sparse["indices"]["componentType"]]
            )
            assert len(rows) == sparse["count"]
            values[rows] = np.frombuffer(self._bytes(sparse["values"]["bufferView"]), dtype).reshape(-1, width)
        return values

    def channels(self, animation: int) -> dict[tuple[int, str], NDArray[Any]]:
        """Values of each channel (node, path) at its key frames."""
        entry = self.document["animations"][animation]
        return {
            (channel["target"]["node"], channel["target"]["path"]): self.accessor(
                entry["samplers"][channel["sampler"]]["output"]
            )
            for channel in entry["channels"]
        }

    def times(self, animation: int) -> NDArray[Any]:
        """Times of the key frames, seconds."""
        return self.accessor(self.document["animations"][animation]["samplers"][0]["input"])[:, 0]

    def vertices(self, scene: int, animation: int, frame: int) -> NDArray[np.float64]:
        """Vertices (V, 3) of a scene's mesh at a key frame: morph targets, then skinning by the joints' matrices."""
        nodes = self.document["nodes"]
        mesh_node = next(number for number in self.document["scenes"][scene]["nodes"] if "mesh" in nodes[number])
        mesh = self.document["meshes"][nodes[mesh_node]["mesh"]]
        (primitive,) = mesh["primitives"]
        channels = self.channels(animation)
        points = self.accessor(primitive["attributes"]["POSITION"]).astype(np.float64)
        weights = channels[mesh_node, "weights"].reshape(-1, len(primitive["targets"]))[frame]
        for weight, target in zip(weights, primitive["targets"], strict=True):
            points += weight * self.accessor(target["POSITION"])
        skin = self.document["skins"][nodes[mesh_node]["skin"]]
        inverse = self.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        joints = self.accessor(primitive["attributes"]["JOINTS_0"])
        parts = self.accessor(primitive["attributes"]["WEIGHTS_0"])
        matrices = np.stack(
            [self._matrix(joint, channels, frame) @ inverse[n] for n, joint in enumerate(skin["joints"])]
        )
        blended = np.einsum("vk,vkij->vij", parts, matrices[joints])
        return np.einsum("vij,vj->vi", blended, np.concatenate([points, np.ones((len(points), 1))], 1))[:, :3]

    def _matrix(self, node: int, channels: dict[tuple[int, str], NDArray[Any]], frame: int) -> NDArray[np.float64]:
        """World matrix (4, 4) of a node at a key frame."""
        entry = self.document["nodes"][node]
        place = np.asarray(entry.get("translation", (0, 0, 0)), dtype=np.float64)
        matrix = np.eye(4)
        if (node, "rotation") in channels:
            matrix[:3, :3] = Rotation.from_quat(channels[node, "rotation"][frame]).as_matrix()
        matrix[:3, 3] = channels[node, "translation"][frame] if (node, "translation") in channels else place
        parent = next((n for n, one in enumerate(self.document["nodes"]) if node in one.get("children", ())), None)
        return matrix if parent is None else self._matrix(parent, channels, frame) @ matrix
