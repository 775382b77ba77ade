"""Averaged probabilities of several models."""

import pytest
import torch
from support.tiny_segmenter import TinySegmenter, random_batches

from polypda.errors import UsageError
from polypda.methods.segmentation import to_image_size
from polypda.networks.averaged_prediction import FusedSegmenter


def test_the_fusion_predicts_the_mean_of_its_members():
    torch.manual_seed(0)
    members = [TinySegmenter().eval() for _ in range(3)]
    images = random_batches(0)[1].images
    with torch.no_grad():
        maps = [to_image_size(m(images).logits["main"], 64, 64).softmax(dim=1) for m in members]
        fused = FusedSegmenter(members)(images).logits["main"].softmax(dim=1)
    assert torch.allclose(fused, torch.stack(maps).mean(dim=0), atol=1e-6)
    assert not torch.allclose(fused, maps[0], atol=1e-3)


def test_a_fusion_of_nothing_is_refused():
    with pytest.raises(UsageError, match="E_FUSION"):
        FusedSegmenter([])
