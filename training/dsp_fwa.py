"""DSP-FWA: trains on genuine faces and their own, made smaller, blurred and warped back; or on what a data set brings.

    python -m training.dsp_fwa --config configs/dsp_fwa.yaml start=resnet50.pth [key=value ...]

Sources of the recipe: Li & Lyu, "Exposing DeepFake Videos By Detecting Face Warping Artifacts", CVPRW 2019; Li et al.,
"Celeb-DF", CVPR 2020; Tolosana et al., EAAI 2022, for the regions.
"""

from typing import Literal

from core.settings import Settings
from training.config import PictureConfig
from training.faces import open_faces
from training.run import Method, Opened, command
from training.starts import begin

BACKBONE = ("resnet.",)


class DSPFWAConfig(PictureConfig):
    method: Literal["dsp_fwa"]


def open_dsp_fwa(config: DSPFWAConfig, settings: Settings) -> Opened:
    network, start = begin("dsp_fwa", config.start, config.seed, settings, BACKBONE)
    return open_faces(config, network, start, BACKBONE)


METHOD = Method("dsp_fwa", DSPFWAConfig, "arXiv:1811.00656", open_dsp_fwa)

if __name__ == "__main__":
    raise SystemExit(command(METHOD, __doc__))
