"""What the discriminators of AdaptSegNet are shown."""

import torch
from support.tiny_segmenter import TinySegmenter

from polypda.methods.adaptsegnet import AdaptSegNet, AdaptSegNetOptions


def test_a_shrunk_discriminator_sees_means_over_squares_and_one_px_changes_nothing():
    torch.manual_seed(0)
    images = torch.rand(1, 3, 100, 96)
    found = {}
    for side in (1, 4):
        torch.manual_seed(0)
        options = AdaptSegNetOptions(discriminator_shrink=side, discriminator_layers=3, discriminator_width=4)
        method = AdaptSegNet(TinySegmenter(dropout=0).eval(), options, steps=3)
        seen = []
        method.discriminators["main"].register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))
        prediction = method.segmenter(images)
        logits = {level: torch.nn.functional.interpolate(z, (100, 98)) for level, z in prediction.logits.items()}
        method.domain_logits(prediction, logits)
        assert method.options.discriminator_shrink == side
        found[side] = seen[0]
    whole, small = found[1], found[4]
    assert torch.equal(whole, logits["main"].softmax(dim=1)) and small.shape == (1, 2, 25, 25)
    torch.testing.assert_close(small[0, 1, 3, 5], whole[0, 1, 12:16, 20:24].mean())
    torch.testing.assert_close(small[0, 1, 3, 24], whole[0, 1, 12:16, 96:].mean())  # two columns are left there
    torch.testing.assert_close(small.sum(dim=1), torch.ones(1, 25, 25))
