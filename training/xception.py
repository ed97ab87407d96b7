"""Xception: trains on prepared crops of the whole face or of one region of it.

    python -m training.xception --config configs/xception_ffpp.yaml [key=value ...]

Sources of the recipes: Rössler et al., "FaceForensics++", ICCV 2019; Yan et al., "DeepfakeBench", NeurIPS 2023;
Tolosana et al., EAAI 2022, for the regions.
"""

from typing import Literal

from core.settings import Settings
from training.config import PictureConfig
from training.faces import open_faces
from training.run import Method, Opened, command
from training.starts import begin

BACKBONE = ("conv", "bn", "block")


class XceptionConfig(PictureConfig):
    method: Literal["xception"]


def open_xception(config: XceptionConfig, settings: Settings) -> Opened:
    network, start = begin("xception", config.start, config.seed, settings, BACKBONE)
    return open_faces(config, network, start, BACKBONE)


METHOD = Method("xception", XceptionConfig, "arXiv:1901.08971", open_xception)

if __name__ == "__main__":
    raise SystemExit(command(METHOD, __doc__))
