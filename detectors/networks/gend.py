"""GenD: the vision tower of CLIP (ViT-L/14) with its normalisations tuned on manipulated faces, and a head.

Sources: GenD, arXiv 2508.06248 (WACV 2026); Radford et al., "Learning Transferable Visual Models From Natural Language
Supervision", ICML 2021.
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional

SIDE_PX = 224
PATCH_PX = 14
TOKENS = 1 + (SIDE_PX // PATCH_PX) ** 2
WIDTH = 1024
HEADS = 16
LAYERS = 24


class GenD(nn.Module):
    """Faces (B, 3, 224, 224) to logits (B, 2): real, fake."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_extractor = nn.Sequential(OrderedDict(vision_model=VisionTower()))
        self.model = nn.Sequential(OrderedDict(linear=nn.Linear(WIDTH, 2)))

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(functional.normalize(self.feature_extractor(faces)))
        return logits


class VisionTower(nn.Module):
    """Faces (B, 3, 224, 224) to features (B, 1024): the class token after the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.pre_layrnorm = nn.LayerNorm(WIDTH)  # misspelt in the published keys
        self.encoder = nn.Sequential(OrderedDict(layers=nn.Sequential(*(Layer() for _ in range(LAYERS)))))
        self.post_layernorm = nn.LayerNorm(WIDTH)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        tokens = self.encoder(self.pre_layrnorm(self.embeddings(faces)))
        feature: torch.Tensor = self.post_layernorm(tokens[:, 0])
        return feature


class Embeddings(nn.Module):
    """Faces to tokens (B, 257, 1024): the class token, then 16 x 16 patches row by row, each with its position."""

    def __init__(self) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.randn(WIDTH))
        self.patch_embedding = nn.Conv2d(3, WIDTH, PATCH_PX, stride=PATCH_PX, bias=False)
        self.position_embedding = nn.Embedding(TOKENS, WIDTH)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        patches = self.patch_embedding(faces).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(patches.shape[0], 1, -1)
        return torch.cat([first, patches], dim=1) + self.position_embedding.weight


class Layer(nn.Module):
    """Tokens to tokens, (B, 257, 1024)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer_norm1, self.self_attn = nn.LayerNorm(WIDTH), Attention()
        self.layer_norm2 = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(
            OrderedDict(fc1=nn.Linear(WIDTH, 4 * WIDTH), activation=QuickGELU(), fc2=nn.Linear(4 * WIDTH, WIDTH))
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.self_attn(self.layer_norm1(tokens))
        tokens = tokens + self.mlp(self.layer_norm2(tokens))
        return tokens


class Attention(nn.Module):
    """Every token looks at all, with 16 heads of 64."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.join(functional.scaled_dot_product_attention(*self.split(tokens)))

    def split(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values, each (B, 16, 257, 64)."""
        q, k, v = (
            project(tokens).unflatten(2, (HEADS, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        return q, k, v

    def join(self, seen: torch.Tensor) -> torch.Tensor:
        """Tokens from what each head saw (B, 16, 257, 64)."""
        y: torch.Tensor = self.out_proj(seen.transpose(1, 2).flatten(2))
        return y


class QuickGELU(nn.Module):
    """CLIP's own; neither the exact GELU nor its tanh form."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (1.702 * x).sigmoid()
