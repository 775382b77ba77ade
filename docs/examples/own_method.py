"""A method of your own: the target shows as much polyp as the source. `python docs/examples/own_method.py OUT`."""

import sys

from pydantic import Field

import polypda


class SameShareOptions(polypda.MethodOptions):
    share_weight: float = Field(1.0, ge=0, description="weight of the difference of shares")


@polypda.register_method
class SameShare(polypda.TargetTerm):
    """The mean share called polyp on the target comes near that of the source's masks."""

    name = "same-share"
    title = "Same share of polyp"
    paper = "docs/examples/own_method.py"
    Options = SameShareOptions

    def reads_prediction(self, step):
        return True

    def on_prediction(self, view, logits):
        wanted = (view.source.masks == 1).float().mean()
        called = logits["main"].softmax(dim=1)[:, 1].mean()
        return [polypda.LossTerm("share", (called - wanted) ** 2, self.options.share_weight)]


run = polypda.adapt("zju2", "haining", "source-only+same-share", phantom=True, out=sys.argv[1])
print(run.results()[["cohort", "model", "dice_frame", "delta_dice_frame"]].to_string(index=False))
print(run.page)
